//! Studies on a dozen small images.

use super::*;
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// Two classes of striped images of different colours.
fn images(folder: &Path) -> std::path::PathBuf {
    let data = folder.join("data");
    for (class, channel) in [("red", 0), ("blue", 2)] {
        std::fs::create_dir_all(data.join(class)).unwrap();
        for i in 0..10 {
            let mut pixels = alexnet_testkit::images::striped(72, 72, i);
            pixels.iter_mut().skip(channel).step_by(3).for_each(|value| *value = 255);
            std::fs::write(data.join(class).join(format!("{i}.bmp")), alexnet_testkit::images::bmp(72, 72, &pixels)).unwrap();
        }
    }
    data
}

fn setup(data: &Path) -> Setup {
    Setup {
        data: Some(data.into()),
        epochs: Some(1),
        seeds: Some(1),
        set: vec!["batch=8".into()],
        threads: 1,
        ..Setup::default()
    }
}

#[test]
fn a_study_is_trained_reported_and_continued() {
    let folder = tempfile::tempdir().unwrap();
    let (data, out) = (images(folder.path()), folder.path().join("study"));
    let (study, never) = (by_name("lrn").unwrap(), AtomicBool::new(false));
    let mut told = Vec::new();
    let reports = study.run(&setup(&data), &out, &never, &mut |progress| told.push(format!("{progress:?}"))).unwrap();
    assert!(
        told.iter().any(|line| line.contains("with-seed-0")) && told.iter().any(|line| line.starts_with("Epoch(1, 1")),
        "{told:?}"
    );
    let page = std::fs::read_to_string(&reports.html).unwrap();
    assert!(page.contains("13 % test error rate") && page.contains("without LRN") && page.contains("one seed"), "{page}");
    let json: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&reports.json).unwrap()).unwrap();
    assert_eq!((json["study"].as_str(), json["arms"].as_array().map(Vec::len)), (Some("lrn"), Some(2)));
    assert!(json["command"].as_str().unwrap().contains("--epochs 1 --seeds 1"), "{json}");
    assert!(!out.join("with-seed-0/state.safetensors").exists() && out.join("with-seed-0/last.safetensors").exists());

    // Another seed is added; what is trained stays.
    let before = std::fs::read(out.join("with-seed-0/metrics.csv")).unwrap();
    let more = Setup { seeds: Some(2), ..setup(&data) };
    told.clear();
    let stopped = AtomicBool::new(true);
    let error = study.run(&more, &out, &stopped, &mut |_| ()).unwrap_err().to_string();
    assert!(error.contains("the same command continues"), "{error}");
    let reports = study.run(&more, &out, &never, &mut |progress| told.push(format!("{progress:?}"))).unwrap();
    assert!(
        !told.iter().any(|line| line.contains("with-seed-0")) && told.iter().any(|line| line.contains("with-seed-1")),
        "{told:?}"
    );
    assert!(before == std::fs::read(out.join("with-seed-0/metrics.csv")).unwrap());
    assert!(reports.finding.ours.contains("±"), "{}", reports.finding.ours);

    let error = study.run(&Setup { epochs: Some(2), ..more.clone() }, &out, &never, &mut |_| ()).unwrap_err().to_string();
    assert!(error.contains("the same study with other options"), "{error}");
    let other = by_name("overlap").unwrap();
    let error = other.run(&more, &out, &never, &mut |_| ()).unwrap_err().to_string();
    assert!(error.contains("holds `reproduce lrn`"), "{error}");
    let error = study.run(&more, folder.path(), &never, &mut |_| ()).unwrap_err().to_string();
    assert!(error.contains("no study"), "{error}");
}

#[test]
fn models_are_looked_at_without_training() {
    let folder = tempfile::tempdir().unwrap();
    let data = images(folder.path());
    let run = |seed: u64| {
        let settings = crate::train::Settings::new(&data).val(&data).net("paper").image_size(67).epochs(1).seed(seed);
        crate::train::Settings { threads: 1, ..settings }
            .set("batch_norm=false")
            .out(folder.path().join(seed.to_string()))
            .run()
            .unwrap()
            .last
    };
    let models = vec![run(1), run(2)];
    let never = AtomicBool::new(false);
    for name in ["ten-crop", "ensemble", "figure-3", "figure-4", "error-rates"] {
        let study = by_name(name).unwrap();
        let setup = Setup { models: models.clone(), data: Some(data.clone()), threads: 1, ..Setup::default() };
        let reports =
            study.run(&setup, &folder.path().join(name), &never, &mut |_| ()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let finding = reports.finding;
        match name {
            "ten-crop" | "ensemble" => assert!(finding.ours.contains("points"), "{}", finding.ours),
            "figure-3" => assert!(finding.ours.starts_with("96 kernels of 11 x 11 x 3; ") && finding.ours.contains("column 2")),
            "figure-4" => assert_eq!(finding.pictures.len(), 2),
            _ => assert!(finding.bars.last().is_some_and(|bar| bar.ours) && finding.bars.len() > 8),
        }
    }
    let one = Setup { models: models[..1].to_vec(), data: Some(data.clone()), ..Setup::default() };
    let error = by_name("ensemble").unwrap().run(&one, &folder.path().join("one"), &never, &mut |_| ()).unwrap_err().to_string();
    assert!(error.contains("at least two nets"), "{error}");
}

#[test]
fn choices_that_a_study_cannot_follow_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let never = AtomicBool::new(false);
    let refused = |name: &str, setup: Setup| {
        let study = by_name(name).unwrap();
        study.run(&setup, &folder.path().join("none"), &never, &mut |_| ()).unwrap_err().to_string()
    };
    let what = |name: &str| Setup { what: vec![name.into()], ..Setup::default() };
    assert!(refused("lrn", what("lrn")).contains("--what"));
    assert!(refused("ablation", what("dropuot")).contains("did you mean dropout"));
    assert!(refused("lrn", Setup { net: Some("slim".into()), ..Setup::default() }).contains("--net slim"));
    assert!(refused("lrn", Setup { models: vec!["a".into()], ..Setup::default() }).contains("--model"));
    assert!(refused("dropout", Setup { set: vec!["dropuot=1".into()], ..Setup::default() }).contains("dropuot"));
    assert!(refused("dropout", Setup { data: Some("/no/such/folder".into()), ..Setup::default() }).contains("/no/such/folder"));
    assert!(by_name("figure1").err().unwrap().to_string().contains("did you mean figure-1"));
    assert!(!folder.path().join("none").exists());
}

#[test]
fn the_epoch_of_a_goal_lies_between_two() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.toml"), "net = \"x\"").unwrap();
    let to = |rows: &str| {
        std::fs::write(folder.path().join("metrics.csv"), format!("epoch,step,train_top1\n{rows}")).unwrap();
        figure_1::epochs_to(&crate::report::Run::read(folder.path()).unwrap(), 0.25)
    };
    assert_eq!(to("1,1,0.5\n2,2,0.7\n3,3,0.9\n"), Some(2.25));
    assert_eq!((to("1,1,0.8\n"), to("1,1,0.5\n2,2,0.74\n")), (Some(1.0), None));
}

//! Non-finite losses and parameters, and broken images.

use super::*;

#[test]
fn a_nan_loss_stops_and_keeps_the_last_good_model() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("run");
    let run = |at: &Path, breaks_at, options| {
        let ask = Ask { recipe: recipe(), source: squares(90, &[]), options, breaks_at, watch: &mut |_, _| {} };
        train(at, ask).unwrap_err().to_string()
    };
    // With a save at each step, the state is that of the previous step.
    let message = run(&at, Some(14), TrainerOptions { save_every: Duration::ZERO, ..options() });
    assert!(
        message.contains("step 15 (epoch 2)") && message.contains("last.safetensors") && message.contains("--lr"),
        "{message}"
    );
    formats::read(at.join("last.safetensors")).unwrap();
    plain(&at, options()).unwrap();
    let early = folder.path().join("early");
    let message = run(&early, Some(0), options());
    assert!(message.contains("nothing was saved"), "{message}");
}

#[test]
fn non_finite_parameters_are_not_saved() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("run");
    // At this rate the weights overflow within the first steps while the loss is still finite.
    let wild = Recipe { lr: 1e38, bias_lr: BiasRate::Times(1.0), schedule: Schedule::Constant, ..recipe() };
    let options = TrainerOptions { save_every: Duration::ZERO, ..options() };
    let ask = Ask { recipe: wild, source: squares(90, &[]), options, breaks_at: None, watch: &mut |_, _| {} };
    let message = train(&at, ask).unwrap_err().to_string();
    assert!(message.contains("finite") && message.contains("--lr"), "{message}");
    let names: Vec<_> = std::fs::read_dir(&at).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(names.iter().all(|name| !name.to_string_lossy().ends_with(".part")), "{names:?}");
}

#[test]
fn broken_images_are_listed_counted_and_skipped_or_stop_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("skip");
    let (mut broken, source) = (Vec::new(), squares(90, &[0, 7, 44]));
    let ask = Ask {
        recipe: recipe(),
        source: source.clone(),
        options: options(),
        breaks_at: None,
        watch: &mut |event, _| {
            if let Event::Broken { name, .. } = event {
                broken.push(name.to_string());
            }
        },
    };
    assert_eq!(train(&at, ask).unwrap(), StopReason::Done);
    broken.sort();
    assert_eq!(broken, ["blue/0.png", "green/7.png", "red/44.png"]);
    let list = std::fs::read_to_string(at.join("broken.txt")).unwrap();
    assert_eq!(list.lines().next(), Some("blue/0.png: the file is truncated"));
    assert_eq!(list.lines().count(), 3);
    let csv = std::fs::read_to_string(at.join("metrics.csv")).unwrap();
    assert!(csv.lines().skip(1).all(|line| line.ends_with(",3")), "{csv}");

    let stop = TrainerOptions { on_bad: OnDecodeError::Stop, ..options() };
    let ask = Ask { recipe: recipe(), source, options: stop, breaks_at: None, watch: &mut |_, _| {} };
    let message = train(&folder.path().join("stop"), ask).unwrap_err().to_string();
    assert!(message.contains(".png: the file is truncated"), "{message}");

    let all: Vec<usize> = (0..90).collect();
    let ask = Ask { recipe: recipe(), source: squares(90, &all), options: options(), breaks_at: None, watch: &mut |_, _| {} };
    let message = train(&folder.path().join("all"), ask).unwrap_err().to_string();
    assert!(message.contains("none of the training images"), "{message}");
}

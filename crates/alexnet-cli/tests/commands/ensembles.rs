//! Ensembles in `predict`, `eval` and `serve`, and learning rates changed by hand.

use super::explain::{images, model};
use super::*;
use alexnet::formats;
use serde_json::Value;
use std::path::PathBuf;

/// A second model of the same net: other weights, other preprocessing, classes in the reverse order.
fn second(folder: &Path) -> PathBuf {
    let mut other = formats::read(folder.join("m.safetensors")).expect("a model");
    other.classes.reverse();
    other.preprocess.scale *= 0.5;
    let weights = other.tensors["fc3.weight"].iter().rev().map(|x| 2.0 * x).collect::<Vec<f32>>();
    other.tensors.insert("fc3.weight".into(), weights.into());
    let path = folder.join("second.safetensors");
    formats::write(&path, &other).expect("a file");
    path
}

#[test]
fn predictions_and_evaluations_of_an_ensemble_are_means_over_models_and_crops() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = model(folder.path());
    let (second, data) = (second(folder.path()), images(folder.path(), (0..500).step_by(25)));
    let (first, second, data) = (text(&first), text(&second), text(&data));
    let predict = |models: &[&str], crops: &str| -> Vec<Value> {
        let models: Vec<&str> = models.iter().flat_map(|model| ["--model", model]).collect();
        let call = [&["predict", "--json", "--top", "10", "--crops", crops][..], &models, &[data]].concat();
        serde_json::from_str(&done(&call)).expect("JSON")
    };
    let probability = |answer: &Value, label: &Value| {
        let top = answer["top"].as_array().expect("classes").iter();
        top.clone().find(|one| one["label"] == *label).and_then(|one| one["probability"].as_f64()).expect("a class")
    };
    for crops in ["1", "10"] {
        let [a, b, both] = [&[first][..], &[second], &[first, second]].map(|models| predict(models, crops));
        for ((a, b), both) in a.iter().zip(&b).zip(&both) {
            for one in both["top"].as_array().expect("classes") {
                let mean = f64::midpoint(probability(a, &one["label"]), probability(b, &one["label"]));
                assert!((one["probability"].as_f64().expect("a number") - mean).abs() < 1e-12, "{one} {mean}");
            }
            assert_eq!(both["path"], a["path"]);
        }
        // The evaluation counts the same answers, for any batch size and number of threads.
        let eval = |more: &[&str]| {
            last_json(&[&["eval", "--json", "--data", data, "--crops", crops, "--model", first][..], more].concat())
        };
        let report = eval(&["--model", second, "--batch", "3", "--threads", "1"]);
        let right = both.iter().filter(|answer| {
            let path = answer["path"].as_str().expect("a path");
            path.contains(&format!("/{}/", answer["top"][0]["label"].as_str().expect("a label")))
        });
        let top1 = right.count() as f64 / both.len() as f64;
        assert!((report["top1"].as_f64().expect("a number") - top1).abs() < 1e-12, "{report}");
        let models = report["models"].as_array().expect("models");
        assert_eq!((models.len(), &models[0]["model"], &models[1]["model"]), (2, &first.into(), &second.into()));
        let alone = eval(&["--batch", "3", "--threads", "1"]);
        assert!(alone.get("models").is_none());
        assert_eq!((&models[0]["top1"], &models[0]["loss"]), (&alone["top1"], &alone["loss"]));
    }
    let answers = folder.path().join("answers.csv");
    let table = done(&["eval", "--data", data, "--model", first, "--model", second, "--answers", text(&answers)]);
    assert!(table.contains("mean of 2 models, 20 images") && table.contains("second.safetensors  top-1 "), "{table}");
    assert_eq!(std::fs::read_to_string(&answers).expect("a file").lines().count(), 21);
}

#[test]
fn models_with_other_classes_make_no_ensemble() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = model(folder.path());
    let data = images(folder.path(), (0..500).step_by(25));
    let mut other = formats::read(&first).expect("a model");
    let renamed = std::mem::replace(&mut other.classes[1], "zebra".into());
    let path = folder.path().join("other.safetensors");
    formats::write(&path, &other).expect("a file");
    let named = ["other.safetensors", "m.safetensors", "class 1", &renamed, "zebra"];
    let models = ["--model", text(&first), "--model", text(&path)];
    fails(1, &[&["predict", text(&data)][..], &models].concat(), &named);
    fails(1, &[&["eval", "--data", text(&data)][..], &models].concat(), &named);
    let joined = format!("{}+{}", text(&first), text(&path));
    fails(1, &["serve", "--port", "0", "--model", &format!("both={joined}")], &named);
    fails(1, &["serve", "--port", "0", "--model", &joined], &["needs a name", "NAME="]);
    fails(1, &["serve", "--port", "0", "--model", &format!("both={}+", text(&first))], &["empty file name"]);
}

#[test]
fn rates_changed_by_hand_and_by_the_recipe_resume_with_equal_bytes() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    for (class, colour) in [("red", [200, 40, 9]), ("blue", [9, 40, 200])] {
        (0..6).for_each(|i| ramp(&data.join(class).join(format!("{i}.bmp")), colour.map(|c: u8| c + i)));
    }
    for more in [&[][..], &["--accumulate", "2", "--set", "clip_norm=1.0"]] {
        let at = |name: &str| folder.path().join(format!("{name}-{}", more.len()));
        let (whole, stopped) = (at("whole"), at("stopped"));
        let begin = |out: &Path| {
            let net = ["train", "--net", "cifar-18pct", "--recipe", "original", "--batch", "2", "--epochs", "4"];
            let set = "layer_rate_changes=[[1, 2, \"conv1\", 0.1], [3, 4, \"conv1\", 0]]";
            let run = ["--set", set, "--keep-every", "1", "--max-steps", "3", "--no-report", "-q"];
            done(&[&net[..], &run, &["--data", text(&data), "--val-share", "0", "--out", text(out)], more].concat());
        };
        begin(&whole);
        let output = alexnet(&["train", "--resume", text(&whole), "--lr", "0.0005", "--no-report"]);
        let notes = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && notes.contains("learning rate 0.0005 instead of 0.0"), "{notes}");
        begin(&stopped);
        for steps in ["5", "11", "100"] {
            done(&["train", "--resume", text(&stopped), "--lr", "0.0005", "--max-steps", steps, "--no-report", "-q"]);
        }
        for name in ["config.toml", "metrics.csv", "last.safetensors", "best.safetensors", "state.safetensors"] {
            let read = |at: &Path| std::fs::read(at.join(name)).expect("a file of the run");
            assert!(read(&whole) == read(&stopped), "{name} differs");
        }
        let config = std::fs::read_to_string(whole.join("config.toml")).expect("a file");
        assert!(config.contains("[[lr_changes]]\nstep = 3\nlr = 0.0005\n"), "{config}");
        // conv1 is frozen in the last quarter, and only there.
        let weights = |epoch: usize, layer: &str| {
            let model = formats::read(whole.join(format!("epoch-000{epoch}.safetensors"))).expect("a model");
            model.tensors[&format!("{layer}.weight")].to_vec()
        };
        let same = |a, b, layer| weights(a, layer) == weights(b, layer);
        assert!(same(3, 4, "conv1") && !same(2, 3, "conv1") && !same(3, 4, "conv2"));
        fails(1, &["train", "--resume", text(&whole), "--lr", "0.0001"], &["the run is complete", "--from"]);
        fails(1, &["train", "--resume", text(&whole), "--lr", "0.0005", "--batch", "4"], &["--batch 4"]);
        fails(2, &["train", "--resume", text(&whole), "--lr", "-1"], &["--lr"]);
    }
    let unknown = ["train", "--data", text(&data), "--set", "layer_rate_changes=[[1, 2, \"conv9\", 0]]"];
    fails(1, &unknown, &["layer_rate_changes", "conv9"]);
}

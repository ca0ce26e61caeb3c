//! Averages of weights, accumulated steps, and the learning-rate range test.

use super::*;

#[test]
fn a_run_with_an_average_resumes_and_its_models_are_averaged() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    for class in ["red", "blue"] {
        for i in 0..6u8 {
            let colour = if class == "red" { [200, 40 + 20 * i, 9] } else { [9, 40 + 20 * i, 200] };
            ramp(&data.join(class).join(format!("{i}.bmp")), colour);
        }
    }
    let (run, whole) = (folder.path().join("run"), folder.path().join("whole"));
    let train = |out: &Path, more: &[&str]| {
        let net = ["train", "--net", "slim", "--image-size", "96", "--batch", "2", "--epochs", "2", "--no-report"];
        let keys = [
            "ema.every=1",
            "clip_norm=0.5",
            "nesterov=true",
            "batch_norm=true",
            "dropout=0.25",
            "loss.smoothing=0.1",
            "augment.kind=random_resized_crop",
            "augment.auto=trivial",
            "augment.erasing=0.5",
            "augment.mixup=0.4",
        ];
        let recipe: Vec<&str> = keys.iter().flat_map(|key| ["--set", key]).collect();
        done(&[&net[..], &["--accumulate", "2"], &recipe, &["--data", text(&data), "--out", text(out)], more].concat())
    };
    let printed = train(&whole, &["--keep-every", "1"]);
    // Plan, log and ending count optimizer steps.
    let ending = printed.lines().last().expect("a line");
    let steps: u64 = ending.split(' ').next().and_then(|steps| steps.parse().ok()).expect("a number of steps");
    assert!(printed.contains(&format!("2 epochs, batch 2, {steps} steps\n")), "{printed}");
    let log = std::fs::read_to_string(whole.join("log.jsonl")).expect("a log");
    assert!(log.contains(&format!("\"steps_per_epoch\":{},", steps / 2)), "{log}");
    train(&run, &["--keep-every", "1", "--max-steps", "1"]);
    fails(1, &["train", "--resume", text(&run), "--accumulate", "3"], &["--accumulate 3", "2"]);
    done(&["train", "--resume", text(&run), "--accumulate", "2", "--no-report"]);
    for name in ["best", "last", "ema", "state", "epoch-0001"] {
        let read = |at: &Path| std::fs::read(at.join(format!("{name}.safetensors"))).expect("a file of the run");
        assert!(read(&run) == read(&whole), "{name}.safetensors differs");
    }

    // The normalisation is only in the state.
    let inspect = |name: &str| done(&["inspect", text(&run.join(name))]);
    assert!(!inspect("last.safetensors").contains("_bn") && inspect("state.safetensors").contains("_bn"));

    let out = folder.path().join("average.safetensors");
    let average = |more: &[&str]| last_json(&[&["average", "--json", "--out", text(&out)], more].concat());
    let found = average(&[text(&run)]);
    assert_eq!(found["models"].as_array().expect("models").len(), 2);
    let (last, ema) = (run.join("last.safetensors"), run.join("ema.safetensors"));
    let found = average(&[text(&last), text(&ema), text(&whole)]);
    assert_eq!((found["models"].as_array().expect("models").len(), &found["batch_norm"]), (4, &"folded".into()));
    done(&["eval", "--model", text(&out), "--data", text(&data)]);
    fails(1, &["average", text(&last), "--out", text(&out)], &["at least two"]);
    fails(1, &["average", text(&last), text(&ema), "--out", text(&ema)], &["--out", "another name"]);
    fails(1, &["average", text(&last), text(&run.join("./last.safetensors")), "--out", text(&out)], &["given twice"]);
    fails(1, &["average", text(&last), text(&ema), "--out", "mean.onnx"], &[".safetensors", "alexnet convert"]);
    fails(1, &["average", text(&data), "--out", text(&out)], &["no models here"]);
    fails(2, &["average", text(&last), text(&ema)], &["--out"]);
}

#[test]
fn a_range_test_prints_a_curve_and_suggestions() {
    let folder = tempfile::tempdir().expect("a folder");
    let svg = folder.path().join("lr.svg");
    let test = ["lr-find", "--net", "slim", "--image-size", "67", "--batch", "8", "--steps", "12", "--lowest", "1e-4"];
    let found = last_json(&[&test[..], &["--json", "--out", text(&svg)]].concat());
    let steps = found["steps"].as_array().expect("steps");
    assert!(steps.len() > 3 && steps[0]["lr"].as_f64().expect("a rate") < 1.01e-4, "{found}");
    assert_eq!(found["recipe_lr"], 0.04);
    assert!(std::fs::read_to_string(&svg).expect("a curve").contains("<polyline"));
    let table = done(&[&test[..], &["--highest", "0.5"]].concat());
    assert!(table.contains("learning rate") && table.contains("suggest"), "{table}");
    fails(1, &["lr-find", "--lowest", "1", "--highest", "0.1"], &["ascending"]);
    fails(2, &["lr-find", "--steps", "3"], &["from 10 to 10000"]);
    fails(1, &["lr-find", "--set", "momentun=0.5"], &["momentum"]);
}

//! Training: a short run and its files, fine-tuning, and folders that cannot be trained on.

use super::*;

#[test]
fn unusable_training_folders_are_reported_and_leave_nothing_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, run) = (folder.path().join("data"), folder.path().join("run"));
    let train = |parts: &[&str]| {
        fails(1, &["train", "--data", text(&data), "--out", text(&run)], parts);
        assert!(!run.exists(), "a failed start left {}", run.display());
    };
    train(&["data", "No such file"]);
    std::fs::create_dir_all(data.join("cat")).expect("a folder");
    train(&["one folder per class"]);
    std::fs::write(data.join("cat/1.jpg"), b"").expect("a file");
    train(&["only one class"]);
    std::fs::create_dir_all(data.join("dog")).expect("a folder");
    train(&["dog", "no images"]);
}

#[test]
fn a_short_run_trains_evaluates_predicts_and_resumes() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = folder.path().join("run");
    let train = ["train", "--net", "slim", "--image-size", "96", "--batch", "8", "--epochs", "1", "--max-steps", "2", "--json"];
    let printed = done(&[train.as_slice(), &["--out", text(&run), "--tensorboard"]].concat());
    let last: serde_json::Value = serde_json::from_str(printed.lines().last().expect("a line")).expect("JSON");
    assert_eq!((&last["ending"], &last["steps"], &last["monitor"]), (&"max-steps".into(), &2.into(), &"top1".into()));
    // The plan is that of two of the 500 steps.
    let plan = &serde_json::from_str::<serde_json::Value>(printed.lines().next().expect("a line")).expect("JSON")["plan"];
    assert_eq!((&plan["steps"], &plan["epochs"]), (&2.into(), &0.004.into()), "{plan}");
    fails(1, &["train", "--out", text(&run)], &["not empty"]);
    let model = run.join("last.safetensors");
    let state = done(&["inspect", text(&run.join("state.safetensors"))]);
    assert!(state.contains("unusable: the state of a training run"), "{state}");
    let report: serde_json::Value = serde_json::from_str(&done(&["eval", "--model", text(&model), "--json"])).expect("JSON");
    assert_eq!((&report["images"], &report["crops"]), (&500.into(), &1.into()));
    assert!(report["top5"].as_f64().expect("a number") >= report["top1"].as_f64().expect("a number"));

    // The run has its report and its events; the report can be regenerated, and runs can be compared.
    let page = || std::fs::read_to_string(run.join("report.html")).expect("a report");
    let names = std::fs::read_dir(&run).expect("a folder").map(|entry| entry.expect("an entry").file_name());
    assert_eq!(names.filter(|name| name.to_string_lossy().starts_with("events.out.tfevents.")).count(), 1);
    assert!(page().contains("stopped after the requested number of steps") && page().contains("Nothing has been validated yet"));
    let again = last_json(&["report", text(&run), "--json"]);
    assert_eq!((&again["evaluation"]["images"], &again["epochs"]), (&500.into(), &0.into()));
    assert!(again["evaluation"]["calibration"]["ece"].as_f64().expect("a number") <= 1.0);
    assert!(page().contains("best.safetensors: 500 images"));
    fails(1, &["report", text(folder.path())], &["no run here"]);
    fails(2, &["compare", text(&run)], &["RUN"]);
    let side = folder.path().join("side.html");
    assert!(done(&["compare", text(&run), text(&run), "--out", text(&side)]).contains("0 of 1") && side.exists());
    let both = last_json(&["compare", text(&run), text(&run), "--json"]);
    assert_eq!((both["runs"].as_array().expect("runs").len(), &both["differing"]), (2, &serde_json::json!({})));

    // Lower precision: bf16 without preparation, int8 and int4 after calibration.
    let short = run.join("last.int8.safetensors");
    fails(1, &["eval", "--model", text(&model), "--precision", "int8"], &["conv1", "alexnet quantize"]);
    fails(1, &["quantize", "--model", text(&model), "--out", text(&model)], &["another name"]);
    let quantised = last_json(&["quantize", "--model", text(&model), "--pictures", "20", "--json"]);
    // After four steps the logits hardly differ, so 4-bit weights change many predictions.
    for (kind, least) in [("int8", 0.5), ("int4", 0.2)] {
        assert!(quantised["same_answer"][kind].as_f64().expect("a share") > least, "{quantised}");
    }
    assert!(short.exists());
    for (precision, model) in [("bf16", &model), ("int8", &short), ("int4", &short)] {
        let found = last_json(&["eval", "--model", text(model), "--precision", precision, "--json"]);
        let loss = |report: &serde_json::Value| report["loss"].as_f64().expect("a number");
        assert!((loss(&found) - loss(&report)).abs() < 0.05, "{precision}: {found}, not {report}");
    }

    // A good image is classified, a broken one reported, and the exit status says so.
    let (good, broken) = (folder.path().join("good.bmp"), folder.path().join("broken.png"));
    let mut bmp = b"BM\x3a\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x01\0\0\0\x01\0\0\0\x01\0\x18\0".to_vec();
    bmp.resize(54, 0);
    bmp.extend([10, 20, 30, 0]);
    std::fs::write(&good, bmp).expect("a file");
    std::fs::write(&broken, b"\x89PNG\r\n\x1a\n").expect("a file");
    let output =
        alexnet(&["predict", "--model", text(&model), "--crops", "10", "--top", "3", "--json", text(&broken), text(&good)]);
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("broken.png"));
    let answers: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((answers.as_array().expect("an array").len(), &answers[0]["crops"]), (1, &10.into()));
    assert_eq!(answers[0]["top"].as_array().expect("an array").len(), 3);
}

#[test]
fn fine_tuning_accepts_other_formats_and_freezes_layers() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    // A grey and a red image of each of two classes.
    let mut bmp = b"BM\x3a\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x01\0\0\0\x01\0\0\0\x01\0\x18\0".to_vec();
    bmp.resize(54, 0);
    for (class, pixel) in [("circle", [90, 90, 90, 0]), ("square", [10, 20, 200, 0]), ("zebra", [200, 20, 0, 0])] {
        std::fs::create_dir_all(at("data").join(class)).expect("a folder");
        for i in 0..2 {
            std::fs::write(at("data").join(class).join(format!("{i}.bmp")), [&bmp[..], &pixel].concat()).expect("a file");
        }
    }
    let small = ["-q", "train", "--net", "caffenet", "--image-size", "67", "--batch", "4", "--epochs", "1", "--max-steps", "1"];
    done(&[small.as_slice(), &["--out", text(&at("first"))]].concat());
    done(&["convert", text(&at("first/last.safetensors")), text(&at("m.onnx"))]);

    let (model, data) = (at("m.onnx"), at("data"));
    let tune = |more: &[&str]| {
        let start = ["train", "--from", text(&model), "--data", text(&data), "--val-share", "0", "--epochs", "2"];
        [start.as_slice(), more].concat().iter().map(|part| part.to_string()).collect::<Vec<_>>()
    };
    let refused = |more: &[&str], parts: &[&str]| fails(1, &tune(more).iter().map(String::as_str).collect::<Vec<_>>(), parts);
    refused(&["--freeze", "conv9"], &["--freeze", "conv9", "conv1, conv2", "fc8"]);
    refused(&["--freeze", "conv1-fc8"], &["nothing would learn"]);
    refused(&["--lr-times", "head"], &["--lr-times head", "head=10"]);
    refused(&["--net", "paper"], &["caffenet", "--net"]);
    refused(&["--image-size", "96"], &["67 pixels", "at 96", "fc6.weight"]);
    refused(&["--freeze", "head"], &["the head is new", "--freeze"]);

    let printed =
        done(&tune(&["--freeze", "conv1-conv5", "--out", text(&at("tuned"))]).iter().map(String::as_str).collect::<Vec<_>>());
    assert!(printed.contains("recipe finetune") && printed.contains("head rows kept for 2 of 3 classes"), "{printed}");
    assert!(printed.contains("frozen: conv1-conv5; features of each image up to"), "{printed}");
    let config = std::fs::read_to_string(at("tuned/config.toml")).expect("the settings");
    assert!(config.contains("conv3 = 0.0") && config.contains("fc8 = 10.0") && config.contains("views = 1"), "{config}");
    // The model is not needed to resume, and other layers are rejected.
    std::fs::remove_file(&model).expect("the model");
    done(&["train", "--resume", text(&at("tuned")), "--freeze", "conv1-conv5"]);
    fails(1, &["train", "--resume", text(&at("tuned")), "--freeze", "conv1"], &["--freeze", "omit them"]);
    fails(1, &["train", "--recipe", "finetune"], &["--from"]);
}

#[test]
fn a_fine_tuned_model_with_known_classes_is_validated_first_and_takes_another_image_size() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    for (class, colour) in [("red", [0, 0, 255]), ("blue", [255, 0, 0])] {
        for i in 0..4 {
            ramp(&at(&format!("set/{class}/{i}.bmp")), colour);
        }
    }
    let set = at("set");
    let small = ["train", "--data", text(&set), "--image-size", "63", "--batch", "4", "--epochs", "1", "--no-report"];
    let output = alexnet(&[&small[..], &["--val-share", "0", "--freeze", "conv1-conv2", "--out", text(&at("first"))]].concat());
    let (printed, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(
        output.status.success()
            && errors.contains("warning: conv1-conv2 are frozen without --from and keep their random initial values"),
        "{errors}"
    );
    assert!(
        printed.contains("no validation images") && printed.contains("training top-1") && !printed.contains("best so far"),
        "{printed}"
    );
    fails(1, &[&small[..], &["--freeze", "head", "--out", text(&at("no"))]].concat(), &["the head is new"]);

    let (model, tuned) = (at("first/last.safetensors"), at("tuned"));
    let tune = ["train", "--from", text(&model), "--data", text(&set), "--val-share", "0.25", "--image-size", "96"];
    let more = ["--batch", "4", "--epochs", "1", "--no-report", "--max-steps", "1", "--out", text(&tuned)];
    let printed = done(&[&tune[..], &more].concat());
    assert!(printed.contains("at 96 pixels") && printed.contains("before: validation: loss"), "{printed}");
    let config = std::fs::read_to_string(at("tuned/config.toml")).expect("the settings");
    assert!(config.contains("lr = 0.0001") && config.contains("image_size = 96"), "{config}");
    let csv = std::fs::read_to_string(at("tuned/metrics.csv")).expect("the metrics");
    assert!(csv.lines().any(|line| line.starts_with("0,0,,,,")), "{csv}");
    let again = done(&["train", "--resume", text(&at("tuned"))]);
    assert!(!again.contains("before:"), "{again}");
}

#[test]
fn unequal_classes_early_stops_and_snapshots() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    for (class, colour, count) in [("red", [0, 0, 255], 9), ("blue", [255, 0, 0], 3)] {
        for i in 0..count {
            ramp(&at(&format!("set/{class}/{i}.bmp")), colour);
        }
    }
    let (set, weights, run) = (at("set"), at("weights.txt"), at("run"));
    std::fs::write(&weights, "blue 3\n").expect("a file");
    let small = ["train", "--data", text(&set), "--val", text(&set), "--image-size", "63", "--batch", "4", "--no-report"];
    // The rate is too small to improve anything.
    let options =
        ["--epochs", "9", "--lr", "1e-12", "--patience", "1", "--monitor", "macro-f1", "--keep", "last:1", "--balanced"];
    let printed = done(&[&small[..], &options, &["--class-weights", text(&weights), "--out", text(&run)]].concat());
    assert!(printed.contains(", macro-F1 ") && printed.contains("stopped early: no better macro-f1 for 1 epoch\n"), "{printed}");
    let config = std::fs::read_to_string(run.join("config.toml")).expect("the settings");
    for part in ["sampling = \"balanced\"", "monitor = \"macro-f1\"", "patience = 1", "keep = \"last:1\"", "blue = 3.0"] {
        assert!(config.contains(part), "{part}: {config}");
    }
    assert!(!run.join("epoch-0001.safetensors").exists() && run.join("epoch-0002.safetensors").exists());
    let header = std::fs::read_to_string(run.join("metrics.csv")).expect("the metrics");
    assert!(
        header.starts_with("epoch,step,lr,train_loss,train_top1,val_loss,val_top1,val_top5,val_macro_f1,broken\n"),
        "{header}"
    );
    // Ended runs stay ended, and other options are refused.
    let again = done(&["train", "--resume", text(&run), "--patience", "1", "--class-weights", text(&weights)]);
    assert!(again.contains("the run is complete after 2 epochs") && !again.contains("resuming"), "{again}");
    assert!(again.contains("best macro-F1 ") && !again.contains(" steps in "), "{again}");
    // Nor does it write what it did not write before.
    assert!(!run.join("report.html").exists());
    fails(1, &["train", "--resume", text(&run), "--patience", "2"], &["--patience 2: the run has 1"]);
    fails(1, &["train", "--resume", text(&run), "--class-weights", "auto"], &["other class weights"]);
    let other = at("other.txt");
    for (content, part) in [("green 2", "`green` is not a class"), ("blue x", "line 1: expected"), ("blue -1", "invalid weight")]
    {
        std::fs::write(&other, content).expect("a file");
        fails(1, &[&small[..], &["--class-weights", text(&other), "--out", text(&at("no"))]].concat(), &[part]);
    }
    fails(1, &[&small[..], &["--class-weights", text(&at("missing"))]].concat(), &["auto, none or a file of weights"]);
    fails(2, &["train", "--keep", "first:2"], &["last:N or best:N"]);
    fails(2, &["train", "--monitor", "f1"], &["macro-f1"]);
    fails(2, &["train", "--dashboard", "--no-report"], &["--no-report"]);
    // A port that is in use leaves no run folder.
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = format!("--dashboard={}", taken.local_addr().expect("an address").port());
    fails(1, &[&small[..small.len() - 1], &[&port, "--out", text(&at("no"))]].concat(), &["cannot listen", "another port"]);
    assert!(!at("no").exists());
    fails(1, &["train", "--data", text(&set), "--val-share", "0", "--patience", "1"], &["need validation images"]);
    fails(
        1,
        &["train", "--data", text(&set), "--val-share", "0", "--keep", "best:1"],
        &["--keep best:1 needs validation images"],
    );
}

#[test]
fn a_run_has_its_own_activation() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    for (class, colour) in [("red", [0, 0, 255]), ("blue", [255, 0, 0])] {
        (0..4).for_each(|i| ramp(&at("set").join(class).join(format!("{i}.bmp")), colour));
    }
    let (set, run, no) = (at("set"), at("run"), at("no"));
    let net = ["train", "--data", text(&set), "--image-size", "63", "--batch", "4", "--epochs", "1", "--no-report"];
    done(&[&net[..], &["--activation", "tanh", "--max-steps", "1", "--out", text(&run)]].concat());
    let config = std::fs::read_to_string(run.join("config.toml")).expect("the settings");
    assert!(config.contains("activation = \"tanh\"\n"), "{config}");
    let other = ["--activation sigmoid", "the run has tanh"];
    fails(1, &["train", "--resume", text(&run), "--activation", "sigmoid"], &other);
    done(&["train", "--resume", text(&run), "--activation", "tanh"]);
    let model = run.join("last.safetensors");
    let bytes = std::fs::read(&model).expect("a model");
    let header = String::from_utf8_lossy(&bytes[..bytes.len().min(1 << 15)]);
    assert!(header.contains("tanh7") && !header.contains("relu"), "{header}");
    let tune = ["train", "--from", text(&model), "--data", text(&set), "--activation", "relu", "--out", text(&no)];
    fails(1, &tune, &["--activation relu", "keeps its own"]);
    fails(2, &["train", "--activation", "gelu"], &["relu, tanh, sigmoid"]);
}

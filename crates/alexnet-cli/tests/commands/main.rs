//! End-to-end tests of the command line: output, errors and exit status.

use std::path::Path;
use std::process::{Command, Output};

mod data;
mod explain;
mod first_steps;
mod labels;
#[cfg(unix)]
mod pipes;

fn alexnet(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_alexnet")).args(arguments).output().expect("the program starts")
}

/// Standard output of a call that must succeed.
fn done(arguments: &[&str]) -> String {
    let output = alexnet(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// Asserts that a call fails with this status and that its error contains each of `parts`.
fn fails(status: i32, arguments: &[&str], parts: &[&str]) {
    let output = alexnet(arguments);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{arguments:?}: {error}");
    for part in parts {
        assert!(error.contains(part), "{arguments:?}: no `{part}` in: {error}");
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

#[test]
fn nets_and_summary_print_shapes_and_counts() {
    let json: serde_json::Value = serde_json::from_str(&done(&["nets", "--json"])).expect("JSON");
    let paper = json.as_array().expect("an array").iter().find(|net| net["name"] == "paper").expect("the paper's net");
    assert_eq!((&paper["parameters"], &paper["macs"]), (&60_965_224.into(), &724_406_816.into()));
    assert!(done(&["nets"]).contains("tutorial-code       224  56-28-14-7        76,009,832"));
    let table = done(&["summary", "--net", "tutorial-code", "--classes", "1"]);
    assert!(table.contains("71,916,929"), "{table}");
    let folder = tempfile::tempdir().expect("a folder");
    let svg = folder.path().join("net.svg");
    done(&["summary", "--net", "caffenet", "--svg", text(&svg)]);
    assert!(std::fs::read_to_string(&svg).expect("the drawing").starts_with("<svg"));
}

#[test]
fn devices_lists_available_and_unavailable_devices() {
    let rows: serde_json::Value = serde_json::from_str(&done(&["devices", "--json"])).expect("JSON");
    let row = |name: &str| rows.as_array().expect("rows").iter().find(|row| row["device"] == name);
    assert_eq!(row("cpu").expect("the processor")["there"], true);
    let selftest = |device| ["selftest", "--net", "torchvision", "--image-size", "64", "--device", device];
    if cfg!(feature = "gpu") {
        assert_eq!(row("flex:0").expect("Burn's processor backend")["there"], true);
        fails(1, &selftest("vulcan"), &["vulcan: no such device", "flex"]);
    } else {
        fails(1, &selftest("cuda:0"), &["--device cuda:0", "this build supports the CPU only", "--features gpu,cuda"]);
    }
    let table = done(&["summary", "--net", "paper", "--parallel", "towers"]);
    // 13 x 13 x 256 maps of conv2 to the other tower, half of them each way, as 4 bytes, and their gradients back.
    assert!(table.contains("conv3  0-191    192-383    all its maps                                    346,112"), "{table}");
    fails(1, &["summary", "--net", "torchvision", "--parallel", "towers"], &["torchvision"]);
}

#[test]
fn bad_usage_is_status_2_and_failure_status_1() {
    fails(2, &["frobnicate"], &["frobnicate"]);
    fails(2, &["predict", "--model", "m.safetensors"], &["IMAGE"]);
    fails(2, &["eval", "--model", "m.safetensors", "--crops", "5"], &["crops"]);
    for command in ["summary", "train", "selftest"] {
        fails(2, &[command, "--net", "papr"], &["papr", "'paper'"]);
    }
    fails(2, &["selftest", "--convolutions", "fourier"], &["fourier", "winograd"]);
    fails(1, &["summary", "--image-size", "20"], &["pool2", "larger images"]);
    fails(1, &["bench", "train", "--precision", "int8", "--batch", "1"], &["int8 is for inference"]);
    fails(2, &["bench", "train", "--precision", "f8"], &["possible values: f32, bf16, f16, int8, int4"]);
}

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
fn files_that_are_not_models_are_reported() {
    let folder = tempfile::tempdir().expect("a folder");
    let model = folder.path().join("m.safetensors");
    let eval = |parts: &[&str]| fails(1, &["eval", "--model", text(&model)], parts);
    eval(&["m.safetensors", "No such file"]);
    std::fs::write(&model, b"").expect("a file");
    eval(&["m.safetensors"]);
    let mut huge = (1u64 << 60).to_le_bytes().to_vec();
    huge.extend(b"{}");
    std::fs::write(&model, huge).expect("a file");
    eval(&["m.safetensors", "header"]);
}

#[test]
fn a_short_run_trains_evaluates_predicts_and_resumes() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = folder.path().join("run");
    let train = ["train", "--net", "slim", "--image-size", "96", "--batch", "8", "--epochs", "1", "--max-steps", "2", "--json"];
    let printed = done(&[train.as_slice(), &["--out", text(&run), "--tensorboard"]].concat());
    let last: serde_json::Value = serde_json::from_str(printed.lines().last().expect("a line")).expect("JSON");
    assert_eq!((&last["ending"], &last["steps"]), (&"max-steps".into(), &2.into()));
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
    assert!(page().contains("stopped after as many steps as asked for") && page().contains("Nothing has been validated yet"));
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

    // A good image is classified, a broken one reported, and the exit status is failure.
    let (good, broken) = (folder.path().join("good.bmp"), folder.path().join("broken.png"));
    let mut bmp = b"BM\x3a\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x01\0\0\0\x01\0\0\0\x01\0\x18\0".to_vec();
    bmp.resize(54, 0);
    bmp.extend([10, 20, 30, 0]);
    std::fs::write(&good, bmp).expect("a file");
    std::fs::write(&broken, b"\x89PNG\r\n\x1a\n").expect("a file");
    let output =
        alexnet(&["predict", "--model", text(&model), "--crops", "10", "--top", "3", "--json", text(&broken), text(&good)]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("broken.png"));
    let answers: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((answers.as_array().expect("an array").len(), &answers[0]["crops"]), (1, &10.into()));
    assert_eq!(answers[0]["top"].as_array().expect("an array").len(), 3);
}

#[test]
fn predictions_survive_conversion_through_every_format() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = folder.path().join("run");
    let train = ["-q", "train", "--net", "caffenet", "--image-size", "67", "--batch", "4", "--epochs", "1", "--max-steps", "1"];
    done(&[train.as_slice(), &["--out", text(&run)]].concat());
    let picture = folder.path().join("p.bmp");
    let mut bmp = b"BM\x3a\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x01\0\0\0\x01\0\0\0\x01\0\x18\0".to_vec();
    bmp.resize(54, 0);
    bmp.extend([10, 20, 30, 0]);
    std::fs::write(&picture, bmp).expect("a file");
    let mut from = run.join("last.safetensors");
    let answer = |model: &Path| {
        let json: serde_json::Value =
            serde_json::from_str(&done(&["predict", "--model", text(model), "--json", text(&picture)])).expect("JSON");
        json[0]["top"].clone()
    };
    let wanted = answer(&from);
    for (name, format) in [
        ("m.pth", "PyTorch"),
        ("m.onnx", "ONNX"),
        ("m.caffemodel", "Caffe"),
        ("m.pdparams", "Paddle"),
        ("m.safetensors", "safetensors"),
    ] {
        let to = folder.path().join(name);
        done(&["convert", text(&from), text(&to)]);
        // Caffe takes another input range, so its results are rounded differently.
        for (a, b) in answer(&to).as_array().expect("answers").iter().zip(wanted.as_array().expect("answers")) {
            let probability = |answer: &serde_json::Value| answer["probability"].as_f64().expect("a number");
            assert_eq!((&a["index"], &a["label"]), (&b["index"], &b["label"]), "{name}");
            assert!((probability(a) / probability(b) - 1.0).abs() < 1e-5, "{name}: {a} instead of {b}");
        }
        let inspected = done(&["inspect", text(&to)]);
        assert!(inspected.starts_with(format) && inspected.contains("net: caffenet, 67 x 67 pixels, 10 classes"), "{inspected}");
        from = to;
    }
    // A trainer's dictionary around the weights is unwrapped, with a note.
    let bytes = std::fs::read(folder.path().join("m.pdparams")).expect("a file");
    let checkpoint = folder.path().join("checkpoint.pdparams");
    let around = [&b"\x80\x04}(X\x03\0\0\0net"[..], &bytes[..bytes.len() - 1], b"X\x05\0\0\0epochK\x01u."].concat();
    std::fs::write(&checkpoint, around).expect("a file");
    let output = alexnet(&["predict", "--model", text(&checkpoint), text(&picture)]);
    let warnings = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && warnings.starts_with("note: ") && warnings.contains("under `net`; ignored: epoch"),
        "{warnings}"
    );

    // Class names from files.
    let (labels, named) = (folder.path().join("labels.json"), folder.path().join("named.safetensors"));
    let ids = "n01440764 n01443537 n01484850 n01491361 n01494475 n01496331 n01498041 n01514668 n01514859 n01518878";
    std::fs::write(&labels, serde_json::to_string(&ids.split(' ').collect::<Vec<_>>()).expect("JSON")).expect("a file");
    done(&["convert", text(&from), text(&named), "--labels", text(&labels)]);
    let printed = done(&["predict", "--model", text(&named), "--top", "10", text(&picture)]);
    assert!(printed.contains("n01440764 tench ") && printed.contains("n01518878 ostrich "), "{printed}");
    std::fs::write(&labels, "cat\n\ndog\n").expect("a file");
    fails(1, &["convert", text(&from), text(&named), "--labels", text(&labels)], &["labels.json", "line 2 is empty"]);
    fails(1, &["convert", text(&from), text(&named.with_extension("onnx")), "--names", "torchvision"], &["omit --names"]);

    fails(1, &["convert", text(&from), text(&folder.path().join("m.txt"))], &["extension", ".onnx"]);
    fails(1, &["convert", text(&from), text(&folder.path().join("m.pth")), "--names", "torchvision"], &["--names own"]);
    fails(1, &["inspect", text(&picture)], &["p.bmp", "not a model file"]);
}

#[test]
fn missing_preprocessing_can_be_given_by_options() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    // A small net exported by PyTorch, with 15-pixel images.
    let foreign = concat!(env!("CARGO_MANIFEST_DIR"), "/../alexnet-formats/tests/fixtures/norm_script.onnx");
    let inspected = done(&["inspect", foreign]);
    assert!(inspected.contains("note: does not specify its preprocessing; assuming RGB in 0 to 1"), "{inspected}");
    let out = at("m.safetensors");
    let note = alexnet(&["convert", foreign, text(&out)]);
    assert!(String::from_utf8_lossy(&note.stderr).contains("does not specify its preprocessing"));
    let preprocess = |options: &[&str]| {
        done(&[&["-q", "convert", foreign, text(&out)], options].concat());
        last_json(&["inspect", text(&out), "--json"])["preprocess"].clone()
    };
    let caffe = preprocess(&["--channels", "bgr", "--scale", "255", "--mean", "104,117,123"]);
    assert_eq!((&caffe["channels"], &caffe["scale"]), (&"bgr".into(), &1.0.into()));
    assert_eq!(
        (&caffe["mean"]["channel"], &caffe["std"]),
        (&serde_json::json!([104.0, 117.0, 123.0]), &serde_json::json!([1.0, 1.0, 1.0]))
    );
    let timm = preprocess(&["--mean", "0.5", "--std", "0.5,0.25,0.125", "--image-size", "16"]);
    assert_eq!((&timm["crop"], &timm["std"]), (&16.into(), &serde_json::json!([0.5, 0.25, 0.125])));
    // Reversing the channel order keeps the colours.
    let std = preprocess(&["--channels", "bgr"])["std"][0].as_f64().expect("a number");
    assert!((std - 0.225).abs() < 1e-6, "{std}");
    let convert = |options: &[&str], parts: &[&str]| fails(1, &[&["convert", foreign, text(&out)], options].concat(), parts);
    convert(&["--scale", "255"], &["--mean"]);
    convert(&["--std", "1,2"], &["--std 1,2", "three numbers"]);
    convert(&["--std", "0"], &["cannot divide"]);
    convert(&["--mean", "1,2"], &["--mean 1,2"]);
    convert(&["--image-size", "40"], &["--image-size 40", "fc2.weight has 216 numbers"]);
    // A 2 x 2 mean image in numpy's format.
    let mut npy = b"\x93NUMPY\x01\0\x76\0".to_vec();
    npy.extend(format!("{:117}\n", "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2, 2), }").into_bytes());
    npy.extend([0; 48]);
    std::fs::write(at("mean.npy"), npy).expect("a file");
    convert(&["--mean", text(&at("mean.npy"))], &["BGR of 0 to 255"]);
    let caffe = ["--channels", "bgr", "--scale", "255", "--mean"];
    convert(&[caffe.as_slice(), &[text(&at("mean.npy"))]].concat(), &["mean image of 2 x 2 pixels is smaller", "15 x 15"]);

    // Weights ruined by training give no predictions.
    let picture = at("p.bmp");
    ramp(&picture, [10, 20, 30]);
    done(&["-q", "convert", foreign, text(&out)]);
    done(&["predict", "--model", text(&out), text(&picture)]);
    let mut bytes = std::fs::read(&out).expect("the model");
    let end = bytes.len() - 4;
    bytes[end..].copy_from_slice(&f32::NAN.to_le_bytes());
    std::fs::write(&out, bytes).expect("a file");
    fails(1, &["predict", "--model", text(&out), text(&picture)], &["meaningless", "fc2.weight holds NaN"]);
    // Nor an accuracy, features or a drawing, which would look like any other.
    let set = folder.path().join("set");
    for class in ["cat", "dog"] {
        std::fs::create_dir_all(set.join(class)).expect("a folder");
        ramp(&set.join(class).join("1.bmp"), [10, 20, 30]);
    }
    let model = ["--model", text(&out)];
    for arguments in [
        &["eval", "--data", text(&set), "--label-order", "text"][..],
        &["features", "--data", text(&set), "--out", text(&at("f.npy"))],
        &["explain", "cam", text(&picture), "--out", text(&at("cam.png"))],
        &["data", "check", text(&set)],
        &["quantize", "--data", text(&set), "--out", text(&at("q.safetensors"))],
    ] {
        fails(1, &[arguments, &model[..]].concat(), &["meaningless", "fc2.weight holds NaN"]);
    }
    assert!(!at("f.npy").exists() && !at("cam.png").exists());
}

/// Writes an image of 40 x 40 pixels, a ramp of one colour.
fn ramp(path: &Path, colour: [u8; 3]) {
    let mut bmp = b"BM\xf6\x12\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x28\0\0\0\x28\0\0\0\x01\0\x18\0".to_vec();
    bmp.resize(54, 0);
    bmp.extend((0..1600u32).flat_map(|i| colour.map(|c| (u32::from(c) * (i % 40) / 39) as u8)));
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    std::fs::write(path, bmp).expect("a file");
}

/// Interrupts the conversion of a large model with SIGTERM while it writes, and checks what is left.
#[cfg(unix)]
fn an_interrupted_conversion_leaves_nothing(model: &Path, folder: &Path) {
    // Linux reports which signals are ignored; elsewhere the program handles none if one is ignored.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    if ignored.is_some_and(|signals| signals & (1 << 14) != 0) {
        return println!("skipped: SIGTERM is ignored here");
    }
    let trap = if ignored.is_some() { "trap '' INT; " } else { "" };
    let out = folder.join("m.onnx");
    std::fs::create_dir(folder).expect("a folder");
    let names = || std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").file_name());
    // A conversion may finish before it is interrupted.
    for _ in 0..20 {
        std::fs::write(&out, "before").expect("a file");
        // Like a script's background job, which ignores Ctrl-C.
        let script = format!("{trap}exec \"$0\" convert \"$1\" \"$2\"");
        let mut conversion = Command::new("sh");
        let conversion = conversion.args(["-c", &script, env!("CARGO_BIN_EXE_alexnet"), text(model), text(&out)]);
        let mut conversion = conversion.spawn().expect("the program starts");
        while conversion.try_wait().expect("a status").is_none() && names().count() < 2 {
            std::thread::yield_now();
        }
        Command::new("kill").arg(conversion.id().to_string()).status().expect("kill");
        let status = conversion.wait().expect("a status");
        assert_eq!(names().collect::<Vec<_>>(), ["m.onnx"]);
        if status.code() == Some(130) {
            assert_eq!(std::fs::read(&out).expect("the old file"), b"before");
            return;
        }
    }
    panic!("no conversion could be stopped in time");
}

#[test]
fn features_make_an_index_bound_to_its_model_and_lpips_compares_images() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let run = at("run");
    done(&["-q", "train", "--image-size", "64", "--batch", "4", "--epochs", "1", "--max-steps", "1", "--out", text(&run)]);
    let model = run.join("last.safetensors");
    #[cfg(unix)]
    an_interrupted_conversion_leaves_nothing(&model, &at("interrupted"));
    for (name, colour) in [("red/1", [0, 0, 255]), ("red/2", [0, 30, 255]), ("blue/1", [255, 0, 0]), ("grey/1", [90, 90, 90])] {
        ramp(&at(&format!("set/{name}.bmp")), colour);
    }
    std::fs::write(at("set/red/3.png"), b"\x89PNG\r\n\x1a\n").expect("a file");
    let features = |out: &str, more: &[&str]| {
        let (set, out) = (at("set"), at(out));
        last_json(&[&["features", "--model", text(&model), "--data", text(&set), "--out", text(&out), "--json"], more].concat())
    };
    let made = features("i.npy", &[]);
    assert_eq!((&made["pictures"], &made["broken"], &made["about"]["layer"]), (&4.into(), &1.into(), &"fc7".into()));
    assert_eq!(std::fs::metadata(at("i.npy")).expect("the index").len(), 128 + 4 * 4096 * 4);
    let beside: serde_json::Value = serde_json::from_slice(&std::fs::read(at("i.json")).expect("names")).expect("JSON");
    assert_eq!((&beside["names"][0], &beside["labels"][3]), (&"blue/1.bmp".into(), &"red".into()));
    let made = features("c.safetensors", &["--layer", "conv3", "--pool", "max", "--before-relu", "--threads", "1"]);
    assert_eq!(made["about"]["shape"], serde_json::json!([384]));
    // Every value after the ReLU follows from the same layer's value before it.
    let rows = |name: &str, shape: &[usize]| {
        let bytes = std::fs::read(at(name)).expect("features");
        let length = 4 * shape.iter().product::<usize>();
        bytes[bytes.len() - length..].as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect::<Vec<f32>>()
    };
    for (out, more) in [("before.npy", ["--before-relu"].as_slice()), ("after.npy", &[])] {
        features(out, &[&["--layer", "conv2", "--batch", "3"], more].concat());
    }
    let [before, after] = ["before.npy", "after.npy"].map(|name| rows(name, &[4, 192, 7, 7]));
    assert!(before.iter().any(|v| *v < 0.0) && before.iter().zip(&after).all(|(b, a)| b.max(0.0) == *a));
    fails(1, &["features", "--model", text(&model), "--data", text(&at("set")), "--out", text(&at("i.csv"))], &["ending"]);
    let wrong = ["--layer", "conv9"];
    let (set, out) = (at("set"), at("w.npy"));
    fails(
        1,
        &[&["features", "--model", text(&model), "--data", text(&set), "--out", text(&out)], &wrong[..]].concat(),
        &["conv9"],
    );
    assert!(!out.exists());

    // The nearest image is the query itself, then the one of almost the same colour.
    let (query, index, sheet) = (at("set/red/1.bmp"), at("i.npy"), at("sheet.png"));
    let similar = ["similar", "--index", text(&index), "--model", text(&model), "--data", text(&set), "--sheet", text(&sheet)];
    let found = last_json(&[&similar[..], &["--top", "2", "--json", text(&query)]].concat());
    assert_eq!(found[0]["nearest"][0]["name"], "red/1.bmp");
    assert!(found[0]["nearest"][0]["distance"].as_f64().expect("a number") < 1e-4);
    assert_eq!((&found[0]["nearest"][1]["name"], &found[0]["nearest"][1]["label"]), (&"red/2.bmp".into(), &"red".into()));
    assert!(std::fs::read(&sheet).expect("the sheet").starts_with(b"\x89PNG"));
    let near = ["similar", "--index", text(&index), "--model", text(&model), text(&query)];
    fails(1, &[&near[..], &["--precision", "bf16"]].concat(), &["made in f32, not in bf16", "--precision f32"]);
    fails(1, &[&near[..], &["--data", text(&set), "--sheet", text(&at("s.jpg"))]].concat(), &["s.jpg", ".png"]);
    let other = at("other.pth");
    done(&["convert", text(&model), text(&other)]);
    fails(1, &["similar", "--index", text(&index), "--model", text(&other), text(&query)], &["another model"]);
    fails(2, &["similar", "--index", text(&index), "--model", text(&model), "--sheet", text(&sheet), text(&query)], &["--data"]);

    // Two folders are matched by name, whatever the extensions.
    let heads = format!("{}/../alexnet/src/lpips/alex.pth", env!("CARGO_MANIFEST_DIR"));
    let lpips = |more: &[&str]| last_json(&[&["-q", "lpips", "--model", text(&model), "--json"], more].concat());
    let (one, two) = (at("set/red/1.bmp"), at("set/red/2.bmp"));
    let learned = lpips(&["--linear", &heads, text(&one), text(&two)]);
    let plain = lpips(&[text(&one), text(&two)]);
    let distance = |found: &serde_json::Value| found["pairs"][0]["distance"].as_f64().expect("a number");
    assert!(learned["linear"] == true && plain["linear"] == false && distance(&learned) > 0.0);
    assert!(distance(&plain) > distance(&learned), "{plain} {learned}");
    std::fs::remove_file(at("set/red/3.png")).expect("gone");
    for name in ["red/1", "red/2", "blue/1", "grey/1"] {
        ramp(&at(&format!("changed/{name}.bmp")), [200, 200, 200]);
    }
    let changed = at("changed");
    let found = lpips(&[text(&set), text(&changed)]);
    assert!(found["pairs"].as_array().expect("pairs").len() == 4 && found["mean"].as_f64() > Some(0.0), "{found}");
    // A bad image is reported, and the others are compared.
    std::fs::write(at("changed/grey/1.bmp"), b"BM").expect("a file");
    let output = alexnet(&["-q", "lpips", "--model", text(&model), "--json", text(&set), text(&changed)]);
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((output.status.code(), found["pairs"].as_array().map(Vec::len)), (Some(1), Some(3)), "{found}");
    assert!(found["errors"][0]["name"] == "grey/1" && String::from_utf8_lossy(&output.stderr).contains("1.bmp"), "{found}");
    ramp(&at("changed/grey/2.bmp"), [1, 2, 3]);
    let lonely = ["lpips", "--model", text(&model), text(&set), text(&changed)];
    fails(1, &lonely, &["no file of the same name", "2.bmp"]);
    fails(1, &["lpips", "--model", text(&model), text(&set), text(&one)], &["two images or two folders"]);
    fails(1, &["lpips", "--model", text(&model), "--linear", text(&model), text(&one), text(&two)], &["no linear heads"]);
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
    fails(1, &["train", "--resume", text(&at("tuned")), "--freeze", "conv1"], &["--freeze", "leave them out"]);
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
fn the_self_test_reports_the_formulas_parameters() {
    let report = done(&["selftest", "--net", "slim", "--batch", "1", "--classes", "3", "--json"]);
    let report: alexnet::selftest::Report = serde_json::from_str(&report).expect("a report");
    // fc8's weight has 3 outputs; its first value is the formula's for tensor 14 of seed 1, at scale sqrt(3 / 4096).
    assert_eq!((report.classes, report.parameters), (3, 50_303_912 - 997 * 4097));
    assert_eq!(report.activations["fc8"].shape, [1, 3]);
    assert_eq!(report.losses.len(), 3);
}

/// The last line of a command's output, parsed as JSON.
fn last_json(arguments: &[&str]) -> serde_json::Value {
    serde_json::from_str(done(arguments).lines().last().expect("a line")).expect("JSON")
}

#[test]
fn bench_reports_rates_and_every_step() {
    let load = ["--net", "paper", "--image-size", "67", "--batch", "2", "--seconds", "0", "--json"];
    let bench = |mode: &[&str]| last_json(&[&["bench"], mode, &load].concat());
    for (mode, precision) in [("train", "f32"), ("infer", "f32"), ("infer", "bf16"), ("infer", "int8"), ("infer", "int4")] {
        let bench = |what: &[&str]| bench(&[what, &["--precision", precision]].concat());
        let speed = bench(&[mode]);
        let rate = |which: &str| speed["images_per_second"][which].as_f64().expect("a rate");
        assert!(speed["mode"] == mode && rate("min") > 0.0 && rate("min") <= rate("median") && rate("median") <= rate("max"));
        assert_eq!(speed["runs"], 3);
        let steps = bench(&["kernels", "--mode", mode]);
        let of = |layer: &str, pass: &str| {
            let rows = steps["steps"].as_array().expect("rows").iter();
            rows.filter(|row| row["layer"] == layer && row["pass"] == pass).cloned().collect::<Vec<_>>()
        };
        assert!(steps["peak_gflops"].as_f64() > Some(0.1) && steps["read_gb_per_second"].as_f64() > Some(0.1));
        // conv2's forward pass appears once; it multiplies, and norm2's does not.
        let [conv2, norm2] = ["conv2", "norm2"].map(|layer| of(layer, "forward").remove(0));
        assert!(conv2["gflops"].as_f64() > Some(0.0) && norm2["gflops"].is_null(), "{conv2} {norm2}");
        let share: f64 = steps["steps"].as_array().expect("rows").iter().map(|row| row["share"].as_f64().expect("a share")).sum();
        assert!((share - 1.0).abs() < 1e-9, "{share}");
        // conv1 needs no gradient of the images, and only training computes gradients.
        let train = usize::from(mode == "train");
        let counts = [of("conv1", "weights").len(), of("conv2", "data gradient").len(), of("loss", "forward").len()];
        assert_eq!((counts, of("conv1", "data gradient").len()), ([train; 3], 0));
    }
}

#[test]
fn bench_data_reports_every_loading_step() {
    let load = ["--image-size", "64", "--batch", "4", "--seconds", "0.01", "--json"];
    let rates = last_json(&[["bench", "data"].as_slice(), &load].concat());
    let steps = rates["steps"].as_array().expect("rows");
    assert!(steps.len() == 6 && steps.iter().all(|row| row["pictures_per_second"].as_f64() > Some(1.0)), "{steps:?}");
    assert_eq!((&rates["pictures"], &rates["sample"], &rates["mean_pixels"]), (&4000.into(), &256.into(), &9216.0.into()));
    assert!(rates["training_images_per_second"].as_f64() > Some(0.1) && steps[0]["mb_per_second"].is_null());
    fails(1, &["bench", "data", "--data", "/nowhere"], &["/nowhere", "No such file"]);
}

#[test]
fn completions_and_manual_pages_name_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        assert!(done(&["completions", shell]).contains("selftest"));
    }
    let folder = tempfile::tempdir().expect("a folder");
    done(&["man", "--out", text(folder.path())]);
    for page in ["alexnet.1", "alexnet-train.1", "alexnet-predict.1", "alexnet-bench-kernels.1"] {
        assert!(folder.path().join(page).exists(), "no {page}");
    }
}

//! Models of every format: converted, with options for what a file lacks.

use super::*;

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
fn predictions_survive_conversion_through_every_format() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = folder.path().join("run");
    let train = ["-q", "train", "--net", "caffenet", "--image-size", "67", "--batch", "4", "--epochs", "1", "--max-steps", "1"];
    done(&[train.as_slice(), &["--out", text(&run)]].concat());
    let image = folder.path().join("p.bmp");
    let mut bmp = b"BM\x3a\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x01\0\0\0\x01\0\0\0\x01\0\x18\0".to_vec();
    bmp.resize(54, 0);
    bmp.extend([10, 20, 30, 0]);
    std::fs::write(&image, bmp).expect("a file");
    let mut from = run.join("last.safetensors");
    let answer = |model: &Path| {
        let json: serde_json::Value =
            serde_json::from_str(&done(&["predict", "--model", text(model), "--json", text(&image)])).expect("JSON");
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
    let output = alexnet(&["predict", "--model", text(&checkpoint), text(&image)]);
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
    let printed = done(&["predict", "--model", text(&named), "--top", "10", text(&image)]);
    assert!(printed.contains("n01440764 tench ") && printed.contains("n01518878 ostrich "), "{printed}");
    std::fs::write(&labels, "cat\n\ndog\n").expect("a file");
    fails(1, &["convert", text(&from), text(&named), "--labels", text(&labels)], &["labels.json", "line 2 is empty"]);
    fails(1, &["convert", text(&from), text(&named.with_extension("onnx")), "--names", "torchvision"], &["omit --names"]);

    fails(1, &["convert", text(&from), text(&folder.path().join("m.txt"))], &["extension", ".onnx"]);
    fails(1, &["convert", text(&from), text(&folder.path().join("m.pth")), "--names", "torchvision"], &["--names own"]);
    fails(1, &["inspect", text(&image)], &["p.bmp", "not a model file"]);
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
    let image = at("p.bmp");
    ramp(&image, [10, 20, 30]);
    done(&["-q", "convert", foreign, text(&out)]);
    done(&["predict", "--model", text(&out), text(&image)]);
    let mut bytes = std::fs::read(&out).expect("the model");
    let end = bytes.len() - 4;
    bytes[end..].copy_from_slice(&f32::NAN.to_le_bytes());
    std::fs::write(&out, bytes).expect("a file");
    fails(1, &["predict", "--model", text(&out), text(&image)], &["meaningless", "fc2.weight holds NaN"]);
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
        &["explain", "cam", text(&image), "--out", text(&at("cam.png"))],
        &["data", "check", text(&set)],
        &["quantize", "--data", text(&set), "--out", text(&at("q.safetensors"))],
    ] {
        fails(1, &[arguments, &model[..]].concat(), &["meaningless", "fc2.weight holds NaN"]);
    }
    assert!(!at("f.npy").exists() && !at("cam.png").exists());
}

/// Interrupts the conversion of a large model with SIGTERM while it writes, and checks what is left.
#[cfg(unix)]
pub(crate) fn an_interrupted_conversion_leaves_nothing(model: &Path, folder: &Path) {
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

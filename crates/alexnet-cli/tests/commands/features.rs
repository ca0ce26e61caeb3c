//! Tables of features, their index, and LPIPS.

use super::*;

#[test]
fn features_make_an_index_bound_to_its_model_and_lpips_compares_images() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let run = at("run");
    done(&["-q", "train", "--image-size", "64", "--batch", "4", "--epochs", "1", "--max-steps", "1", "--out", text(&run)]);
    let model = run.join("last.safetensors");
    #[cfg(unix)]
    convert::an_interrupted_conversion_leaves_nothing(&model, &at("interrupted"));
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
    fails(1, &["features", "--model", text(&model), "--data", text(&at("set")), "--out", text(&at("i.csv"))], &["extension"]);
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

//! The figures of the Python package `lpips` (`tools/check_lpips.py golden`), with its own heads, `alex.pth` (BSD-2, see
//! `alex.LICENSE`), on a trunk and pictures from a formula.

use super::*;
use crate::image::Preprocess;
use crate::selftest::formula::uniform;
use crate::weights::parameters;
use std::path::PathBuf;

const GOLDEN: &str = include_str!("golden.json");

#[derive(serde::Deserialize)]
struct Golden {
    cases: Vec<Case>,
}

#[derive(serde::Deserialize)]
struct Case {
    rows: usize,
    columns: usize,
    learned: f64,
    learned_layers: [f64; 5],
    plain: f64,
}

fn heads_file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/lpips/alex.pth")
}

/// The trunk of the golden figures; what follows it has one unit a layer, since nobody looks at it.
fn model(name: &str) -> Model {
    let mut net = presets::by_name(name).unwrap().with_classes(2);
    for layer in &mut net.layers {
        if let Op::Linear { out, .. } = &mut layer.op {
            *out = (*out).min(2);
        }
    }
    let make = |(t, (name, shape)): (usize, (String, Vec<usize>))| {
        let len = shape.iter().product();
        let fan_in: usize = shape[1..].iter().product();
        let scale = if name.ends_with("weight") { (3.0 / fan_in as f64).sqrt() } else { 0.1 };
        (name, uniform(1000 + t as u64, len, scale).into())
    };
    Model {
        tensors: parameters(&net).unwrap().into_iter().enumerate().map(make).collect(),
        preprocess: Preprocess::for_net(&net),
        classes: ["a", "b"].map(String::from).to_vec(),
        recipe: serde_json::Value::Null,
        ranges: Default::default(),
        net,
    }
}

/// A picture and the same with noise.
fn pictures(k: usize, rows: usize, columns: usize) -> [Picture; 2] {
    let bytes = |seed: u64| -> Vec<f32> {
        uniform(seed, rows * columns * 3, 1.0).into_iter().map(|v| ((v + 1.0) * 127.99).floor()).collect()
    };
    let (first, second) = (bytes(2000 + 2 * k as u64), bytes(2001 + 2 * k as u64));
    let noisy = first.iter().zip(&second).map(|(a, b)| (a * 0.75 + b * 0.25).floor() as u8).collect();
    let picture = |rgb| Picture { width: columns, height: rows, rgb };
    [picture(first.into_iter().map(|v| v as u8).collect()), picture(noisy)]
}

#[test]
fn distances_are_those_of_the_python_package() {
    let golden: Golden = serde_json::from_str(GOLDEN).unwrap();
    assert_eq!(golden.cases.len(), 5);
    let model = model("torchvision");
    let mut learned = Lpips::new(&model, Some(Heads::read(heads_file()).unwrap()), 2).unwrap();
    let mut plain = Lpips::new(&model, None, 1).unwrap();
    for (k, case) in golden.cases.iter().enumerate() {
        let [a, b] = pictures(k, case.rows, case.columns);
        let found = learned.compare(&a, &b).unwrap();
        // The package adds in single precision.
        let close = |a: f64, b: f64| (a - b).abs() <= 1e-4 * b;
        assert!(close(found.distance, case.learned), "{} x {}: {found:?}, not {}", case.rows, case.columns, case.learned);
        for (found, wanted) in found.layers.iter().zip(&case.learned_layers) {
            assert!(close(*found, *wanted), "{} x {}: {found}, not {wanted}", case.rows, case.columns);
        }
        let found = plain.compare(&a, &b).unwrap().distance;
        assert!(close(found, case.plain), "{} x {}: {found}, not {}", case.rows, case.columns, case.plain);
        assert_eq!(learned.compare(&a, &a).unwrap().distance, 0.0);
        // Either way round.
        assert!(close(plain.compare(&b, &a).unwrap().distance, found));
    }
}

#[test]
fn what_cannot_be_compared_is_told() {
    let refused = |name: &str| Lpips::new(&model(name), None, 1).map(|_| ()).unwrap_err().to_string();
    assert!(refused("owt").contains("torchvision's AlexNet; owt has other layers"));
    assert!(refused("paper").contains("paper"));
    // The same layers under another name, as far as anyone looks.
    let mut lpips = Lpips::new(&model("paddle"), None, 1).unwrap();
    let picture = |height, width| Picture { height, width, rgb: vec![7; height * width * 3] };
    let complaint = |lpips: &mut Lpips, a, b| lpips.compare(&a, &b).unwrap_err().to_string();
    let sizes = complaint(&mut lpips, picture(40, 50), picture(50, 40));
    assert!(sizes.contains("50 x 40 pixels and 40 x 50") && sizes.contains("--size"), "{sizes}");
    let small = complaint(&mut lpips, picture(30, 31), picture(30, 31));
    assert!(small.contains("larger pictures"), "{small}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("heads.safetensors");
    let written = crate::weights::write(&path, &model("paddle"));
    assert!(written.is_ok() && Heads::read(&path).unwrap_err().to_string().contains("no linear heads"));
}

//! Comparison with the Python package `lpips` (`tools/check_lpips.py golden`), with its own heads, `alex.pth` (BSD-2, see
//! `alex.LICENSE`), on a backbone and images from a formula.

use super::*;
use crate::engine::cpu::Cpu;
use crate::formats::{Model, parameters};
use crate::image::Preprocess;
use crate::net::{Op, presets};
use crate::selftest::formula::uniform;
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

/// The backbone of the golden results; later layers have one unit each, since they are unused.
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
        temperature: None,
        net,
    }
}

fn lpips(backbone: &Backbone, heads: Option<Heads>, threads: usize) -> Result<Lpips> {
    Lpips::new(Box::new(Cpu::of_layers(&backbone.net, Lpips::BATCH, threads)?), backbone, heads)
}

/// An image and a noisy copy.
fn images(k: usize, rows: usize, columns: usize) -> [Image; 2] {
    let bytes = |seed: u64| -> Vec<f32> {
        uniform(seed, rows * columns * 3, 1.0).into_iter().map(|v| ((v + 1.0) * 127.99).floor()).collect()
    };
    let (first, second) = (bytes(2000 + 2 * k as u64), bytes(2001 + 2 * k as u64));
    let noisy = first.iter().zip(&second).map(|(a, b)| (a * 0.75 + b * 0.25).floor() as u8).collect();
    let image = |rgb| Image { width: columns, height: rows, rgb };
    [image(first.into_iter().map(|v| v as u8).collect()), image(noisy)]
}

#[test]
fn distances_match_the_python_package() {
    let golden: Golden = serde_json::from_str(GOLDEN).unwrap();
    assert_eq!(golden.cases.len(), 5);
    let model = model("torchvision");
    let model = Backbone::of(&model).unwrap();
    let mut learned = lpips(&model, Some(Heads::read(heads_file()).unwrap()), 2).unwrap();
    let mut plain = lpips(&model, None, 1).unwrap();
    for (k, case) in golden.cases.iter().enumerate() {
        let [a, b] = images(k, case.rows, case.columns);
        let found = learned.compare(&a, &b).unwrap();
        // The package sums in single precision.
        let close = |a: f64, b: f64| (a - b).abs() <= 1e-4 * b;
        assert!(close(found.distance, case.learned), "{} x {}: {found:?}, not {}", case.rows, case.columns, case.learned);
        for (found, wanted) in found.layers.iter().zip(&case.learned_layers) {
            assert!(close(*found, *wanted), "{} x {}: {found}, not {wanted}", case.rows, case.columns);
        }
        let found = plain.compare(&a, &b).unwrap().distance;
        assert!(close(found, case.plain), "{} x {}: {found}, not {}", case.rows, case.columns, case.plain);
        assert_eq!(learned.compare(&a, &a).unwrap().distance, 0.0);
        // The distance is symmetric.
        assert!(close(plain.compare(&b, &a).unwrap().distance, found));
    }
}

#[test]
fn invalid_comparisons_are_rejected() {
    let refused = |name: &str| Backbone::of(&model(name)).err().unwrap().to_string();
    assert!(refused("owt").contains("torchvision's AlexNet; owt has other layers"));
    assert!(refused("paper").contains("paper"));
    // The same layers up to relu5, under another name.
    let mut lpips = lpips(&Backbone::of(&model("paddle")).unwrap(), None, 1).unwrap();
    let image = |height, width| Image { height, width, rgb: vec![7; height * width * 3] };
    let complaint = |lpips: &mut Lpips, a, b| lpips.compare(&a, &b).unwrap_err().to_string();
    let sizes = complaint(&mut lpips, image(40, 50), image(50, 40));
    assert!(sizes.contains("50 x 40 pixels and 40 x 50") && sizes.contains("--size"), "{sizes}");
    let small = complaint(&mut lpips, image(30, 31), image(30, 31));
    assert!(small.contains("larger images"), "{small}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("heads.safetensors");
    let written = crate::formats::write(&path, &model("paddle"));
    assert!(written.is_ok() && Heads::read(&path).unwrap_err().to_string().contains("no linear heads"));
}

#[test]
fn heads_of_version_0_0_are_rejected() {
    // The first weights of the package's v0.0/alex.pth, layer by layer; the others are not needed for recognition.
    let first =
        [[0.0f32, 0.533_004_5], [0.0, 0.0], [0.0, 0.212_819_74], [0.115_015_42, 0.047_309_864], [0.081_195_77, 0.013_203_62]];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("alex.safetensors");
    let read = |first: &[[f32; 2]; 5]| {
        let entry = |(i, &channels): (usize, &usize)| crate::formats::Entry {
            name: format!("lin{i}.model.1.weight"),
            shape: vec![1, channels, 1, 1],
        };
        let entries: Vec<_> = CHANNELS.iter().enumerate().map(entry).collect();
        crate::formats::write_tensors(&path, &Default::default(), &entries, crate::files::Sync::Later, &mut |name| {
            let i = (0..5).find(|i| name.starts_with(&format!("lin{i}."))).unwrap();
            let mut values = vec![0.1; CHANNELS[i]];
            values[..2].copy_from_slice(&first[i]);
            Ok(values.into())
        })
        .unwrap();
        Heads::read(&path)
    };
    let message = read(&first).unwrap_err().to_string();
    assert!(message.contains("LPIPS 0.0") && message.contains("v0.1/alex.pth"), "{message}");
    let mut others = first;
    others[0][1] = 0.5;
    assert!(read(&others).is_ok());
}

#[test]
fn a_backbone_only_file_is_enough() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trunk.safetensors");
    let whole = Backbone::of(&model("torchvision")).unwrap();
    let layers = ["conv1", "conv2", "conv3", "conv4", "conv5"];
    for (first, theirs) in [
        ("features", ["features.0", "features.3", "features.6", "features.8", "features.10"]),
        ("slices", ["net.slice1.0", "net.slice2.3", "net.slice3.6", "net.slice4.8", "net.slice5.10"]),
        ("others", ["net.slice1.0", "net.slice2.3", "net.slice3.5", "net.slice4.8", "net.slice5.10"]),
    ] {
        let name_of =
            |own: &str| layers.iter().zip(theirs).find_map(|(layer, name)| Some(format!("{name}{}", own.strip_prefix(layer)?)));
        let own: Vec<_> = parameters(&whole.net).unwrap();
        let entry =
            |(name, shape): &(String, Vec<usize>)| crate::formats::Entry { name: name_of(name).unwrap(), shape: shape.clone() };
        let entries: Vec<_> = own.iter().map(entry).collect();
        crate::formats::write_tensors(&path, &Default::default(), &entries, crate::files::Sync::Later, &mut |name| {
            let (own, _) = own.iter().find(|(own, _)| name_of(own).as_deref() == Some(name)).unwrap();
            Ok(whole.tensors[own].to_vec().into())
        })
        .unwrap();
        let read = Backbone::read(&path).unwrap();
        assert_eq!(
            read.map(|trunk| trunk.tensors == whole.tensors && trunk.net == whole.net),
            (first != "others").then_some(true)
        );
    }
}

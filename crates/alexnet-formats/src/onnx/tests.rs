//! ONNX: the onnx package's own test case, and our own graphs read back.

use crate::forward::logits;
use crate::{ExportOptions, Model, export, golden, inspect, load, parameters};
use alexnet_net::Preprocess;
use alexnet_net::{Net, presets};

const LIGHT: &[u8] = include_bytes!("../../tests/fixtures/light_bvlc_alexnet.onnx");
const OUTPUT: &[u8] = include_bytes!("../../tests/fixtures/light_bvlc_alexnet_output_0.pb");

#[test]
fn the_onnx_packages_test_case_gives_its_own_output() {
    golden::with(LIGHT, |path| {
        let model = load(path, None).unwrap();
        assert_eq!((model.net.name.as_str(), model.net.image_size), ("onnx-bvlc", 224));
        let logits = logits(&model, &vec![0.5; 3 * 224 * 224]);
        let largest = logits.iter().fold(f32::MIN, |a, &b| a.max(b));
        let sum: f32 = logits.iter().map(|l| (l - largest).exp()).sum();
        // Its TensorProto: dimensions 1 and 1,000, kind 1 (float), field 9 of 4,000 bytes to the end of the file.
        let numbers = OUTPUT.strip_prefix(b"\x08\x01\x08\xe8\x07\x10\x01\x4a\xa0\x1f").unwrap();
        let expected: Vec<f32> = numbers.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        assert_eq!((logits.len(), expected.len()), (1000, 1000));
        for (logit, expected) in logits.into_iter().zip(expected) {
            let probability = (logit - largest).exp() / sum;
            assert!(expected > 0.0 && (probability - expected).abs() < 1e-4 * expected, "{probability}, not {expected}");
        }
    });
}

#[test]
fn broken_files_never_panic() {
    golden::broken(LIGHT);
}

/// A narrow net with the paper's kinds of layers, with weights.
fn small(name: &str) -> Model {
    let net = presets::by_name(name).unwrap();
    let mut net = Net { layers: net.layers, image_size: 96, name: "small".into() }.with_classes(3);
    for layer in &mut net.layers {
        match &mut layer.op {
            alexnet_net::Op::Conv { out, .. } => *out = (*out / 16).max(4),
            alexnet_net::Op::Linear { out, .. } if *out > 3 => *out = 16,
            _ => {}
        }
    }
    let tensors = parameters(&net).unwrap().into_iter().map(|(name, shape)| {
        let value = |i: usize| (i.wrapping_mul(2_654_435_761) % 1000) as f32 * 1e-4 - 0.04;
        (name, (0..shape.iter().product()).map(value).collect())
    });
    Model {
        tensors: tensors.collect(),
        preprocess: Preprocess::for_net(&net),
        classes: ["a", "b", "c"].map(String::from).to_vec(),
        recipe: serde_json::Value::Null,
        ranges: Default::default(),
        temperature: None,
        net,
    }
}

#[test]
fn exported_models_round_trip_with_metadata() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["paper", "original-145", "torchvision"] {
        let model = small(name);
        for preprocess_in_graph in [false, true] {
            let path = folder.path().join("m.onnx");
            export(&path, &model, ExportOptions { preprocess_in_graph, ..ExportOptions::default() }).unwrap();
            let back = load(&path, None).unwrap();
            assert_eq!((&back.preprocess, &back.classes), (&model.preprocess, &model.classes));
            assert_eq!(inspect(&path, None).unwrap().net.as_deref(), Some("small"));
            for (name, values) in &model.tensors {
                // The paper's dropout is folded into the next layer.
                let factor = if *back.tensors[name] == **values { 1.0 } else { 0.5 };
                assert!(back.tensors[name].iter().zip(values.iter()).all(|(a, b)| *a == factor * b), "{name}");
            }
        }
    }
}

#[test]
fn a_modified_graph_is_used_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.onnx");
    let changed = |name: &str, from: &[u8], to: &[u8], preprocess_in_graph: bool| {
        export(&path, &small(name), ExportOptions { preprocess_in_graph, ..ExportOptions::default() }).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        let at = bytes.windows(from.len()).position(|part| part == from).unwrap();
        bytes[at..at + from.len()].copy_from_slice(to);
        std::fs::write(&path, bytes).unwrap();
        load(&path, None)
    };
    // A node's operator name is field 4.
    let tanh = changed("caffenet", b"\x22\x04Relu", b"\x22\x04Tanh", false).unwrap();
    let activations = tanh.net.layers.iter().filter(|layer| matches!(layer.op, alexnet_net::Op::Activation { .. }));
    let functions: Vec<_> = activations.map(|layer| layer.op.clone()).collect();
    assert_eq!(functions[0], alexnet_net::Op::Activation { function: alexnet_net::Activation::Tanh });
    assert_eq!(functions[1], alexnet_net::Op::Activation { function: alexnet_net::Activation::Relu });
    assert_eq!(tanh.classes, ["a", "b", "c"]);
    let remarks = inspect(&path, None).unwrap().remarks.join("; ");
    assert!(remarks.contains("modified by another program") && remarks.contains("relu1 is Tanh, not Relu"), "{remarks}");
    let why = changed("caffenet", b"\x22\x04Relu", b"\x22\x04Celu", false).unwrap_err().to_string();
    assert!(why.contains("modified by another program") && why.contains("the unsupported operator Celu"), "{why}");
    // Preprocessing of uint8 input is not read back.
    let why = changed("torchvision", b"\x22\x04Relu", b"\x22\x04Tanh", true).unwrap_err().to_string();
    assert!(why.contains("relu1 is Tanh, not Relu") && why.contains("its input picture"), "{why}");
}

#[test]
fn batch_norm_round_trips_through_the_graph_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.onnx");
    let mut model = small("alexnet-bn");
    for (name, values) in &mut model.tensors {
        if name.starts_with("bn") {
            *values = (0..values.len()).map(|i| 0.5 + 0.25 * i as f32).collect::<Vec<_>>().into();
        }
    }
    export(&path, &model, ExportOptions::default()).unwrap();
    // As after a tool that keeps the graph and drops the metadata.
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.windows(8).position(|part| part == b"\"layers\"").unwrap();
    bytes[at + 1] = b'p';
    std::fs::write(&path, bytes).unwrap();
    let back = load(&path, None).unwrap();
    assert_eq!(back.net.layers.iter().filter(|layer| matches!(layer.op, alexnet_net::Op::BatchNorm { .. })).count(), 5);
    let input: Vec<f32> = (0..3 * 96 * 96).map(|i| (i % 97) as f32 * 0.01).collect();
    for (a, b) in logits(&model, &input).into_iter().zip(logits(&back, &input)) {
        assert!((a - b).abs() <= 1e-5 * a.abs(), "{a} {b}");
    }
}

//! Round trips through third-party formats preserve weights, image size, preprocessing and class names.

use alexnet::formats::{self, ExportOptions, Model};
use alexnet::image::{Mean, Preprocess};
use alexnet::net::ParamNaming;
use alexnet::net::presets;
use std::sync::Arc;

/// A preset at another size, with ten named classes, a custom preprocessing, and distinct weights.
fn model(preset: &str, size: usize) -> Model {
    let net = presets::by_name(preset).expect("a preset").with_image_size(size).with_classes(10);
    let parameters = formats::parameters(&net).expect("parameters").into_iter().enumerate();
    Model {
        tensors: parameters
            .map(|(k, (name, shape))| {
                let values = (0..shape.iter().product::<usize>()).map(|i| ((i * 7 + k) % 1009) as f32 / 256.0 - 2.0);
                (name, values.collect())
            })
            .collect(),
        preprocess: Preprocess { std: [0.25, 0.5, 0.125], ..Preprocess::for_net(&net) },
        classes: (0..10).map(|i| format!("class {i}")).collect(),
        recipe: serde_json::json!({ "name": "quick" }),
        ranges: Default::default(),
        temperature: None,
        net,
    }
}

#[test]
fn a_pdparams_of_any_size_round_trips() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("m.pdparams");
    for (preset, size) in [("paddle", 63), ("bvlc", 67), ("tutorial-code", 48)] {
        let mut model = model(preset, size);
        if preset == "bvlc" {
            let side = size + 9;
            let values = (0..3 * side * side).map(|i| i as f32 / 7.0).collect();
            model.preprocess.mean = Mean::Image { size: side, values: Arc::new(values), centre: true };
        }
        formats::export(&path, &model, ExportOptions::default()).expect("a file");
        let back = formats::load(&path, None).expect(preset);
        assert_eq!(back.net, model.net);
        assert_eq!((&back.classes, &back.preprocess, &back.recipe), (&model.classes, &model.preprocess, &model.recipe));
        assert!(back.tensors == model.tensors, "{preset}");
    }
}

/// At 128 pixels torchvision's net averages 3 x 3 maps to 6 x 6, which Paddle's does not. Its names fit nevertheless.
#[test]
fn torchvisions_net_uses_paddles_names_at_any_size() {
    let folder = tempfile::tempdir().expect("a folder");
    let model = model("torchvision", 128);
    let (paddle, torch) = (folder.path().join("m.pdparams"), folder.path().join("m.pth"));
    let changes = formats::export(&paddle, &model, ExportOptions::default()).expect("a file");
    assert!(changes.iter().any(|change| change.contains("fc6.weight is multiplied by 2")), "{changes:?}");
    let inspected = formats::inspect(&paddle, None).expect("a file");
    assert_eq!(inspected.tensors[0].name, "_conv1._conv.weight");
    assert_eq!((inspected.image_size, inspected.class_names[3].as_str()), (Some(128), "class 3"));
    let there = formats::load(&paddle, None).expect("Paddle's");
    // And back: the doubled weights are halved.
    formats::export(&torch, &there, ExportOptions::default()).expect("a file");
    let back = formats::load(&torch, None).expect("PyTorch's");
    assert!(back.net == model.net && back.classes == model.classes && back.tensors == model.tensors);
}

#[test]
fn names_that_a_format_does_not_support_are_rejected() {
    let folder = tempfile::tempdir().expect("a folder");
    let model = model("torchvision", 63);
    for (file, framework) in
        [("m.pdparams", "torchvision"), ("m.onnx", "torchvision"), ("m.onnx", "paddle"), ("m.caffemodel", "torchvision")]
    {
        let names = ParamNaming::of_framework(framework, "torchvision");
        let options = ExportOptions { names, preprocess_in_graph: false };
        let why = formats::export(folder.path().join(file), &model, options).expect_err(file).to_string();
        assert!(why.contains(file) && why.contains("omit --names"), "{why}");
        assert!(!folder.path().join(file).exists());
    }
}

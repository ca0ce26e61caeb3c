//! Model files: round trips, and all kinds of invalid files.

use super::*;
use alexnet_net::{Activation, BiasInit, Layer, Net, Op, Pad, Rounding, WeightInit};
use alexnet_net::{Channels, JpegDecoding, Mean, Preprocess, Resize};
use proptest::prelude::*;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A model with a small convolution and a linear layer.
fn model() -> Model {
    let conv = Op::Conv {
        out: 2,
        kernel: 3,
        stride: 2,
        pad: Pad::all(0),
        groups: 1,
        rounding: Rounding::Floor,
        weight_init: WeightInit::Normal(0.01),
        bias_init: BiasInit::Constant(0.1),
    };
    let linear = Op::Linear { out: 3, weight_init: WeightInit::HeNormal, bias_init: BiasInit::Constant(0.0) };
    let net = Net {
        name: "tiny".into(),
        image_size: 5,
        layers: vec![
            Layer { name: "conv1".into(), op: conv },
            Layer { name: "relu1".into(), op: Op::Activation { function: Activation::Relu } },
            Layer { name: "fc2".into(), op: linear },
        ],
    };
    let preprocess = Preprocess {
        resize: Resize::ShortSide(6),
        crop: 5,
        channels: Channels::Rgb,
        scale: 1.0 / 255.0,
        mean: Mean::Channel([0.485, 0.456, 0.406]),
        std: [0.229, 0.224, 0.225],
        jpeg: JpegDecoding::Exact,
    };
    let mut model = Model {
        classes: ["cat", "dog", "Ærø \"quoted\""].map(String::from).to_vec(),
        recipe: serde_json::json!({"name": "quick", "lr": 0.1 + 0.2}),
        ranges: Default::default(),
        temperature: None,
        tensors: Default::default(),
        net,
        preprocess,
    };
    for (k, (name, shape)) in parameters(&model.net).unwrap().into_iter().enumerate() {
        let values = (0..shape.iter().product()).map(|i| (k * 100 + i) as f32 * 0.1 - 3.0).collect();
        model.tensors.insert(name, values);
    }
    model
}

/// The same with a locally connected layer after the ReLU.
fn local_model() -> Model {
    let mut model = model();
    let (weight_init, bias_init) = (WeightInit::Normal(0.01), BiasInit::Constant(0.1));
    let (pad, rounding) = (Pad::all(1), Rounding::Floor);
    let op = Op::LocalConv { out: 3, kernel: 2, stride: 2, pad, rounding, weight_init, bias_init };
    model.net.layers.insert(2, Layer { name: "local2".into(), op });
    model.net.layers[3].name = "fc3".into();
    for (name, shape) in parameters(&model.net).unwrap() {
        let values = (0..shape.iter().product()).map(|i| i as f32 * 0.1 - 3.0).collect();
        model.tensors.insert(name, values);
    }
    model.tensors.retain(|name, _| !name.starts_with("fc2"));
    model
}

#[test]
fn local_layers_are_kept_by_our_own_format_and_refused_by_others() {
    let model = local_model();
    let (folder, path) = written(&model);
    assert_eq!(read(&path).unwrap(), model);
    let file = TensorFile::open(&path).unwrap();
    assert_eq!(file.shape("local2.weight"), Some(&[4, 3, 2, 2, 2][..]));
    assert_eq!(file.shape("local2.bias"), Some(&[4, 3][..]));
    for (ending, what) in [("onnx", "a locally connected layer cannot"), ("caffemodel", "Caffe has no locally connected layers")]
    {
        let path = folder.path().join(format!("m.{ending}"));
        let error = export(&path, &model, ExportOptions::default()).unwrap_err().to_string();
        assert!(error.contains("local2") && error.contains(what) && !path.exists(), "{error}");
    }
    // A state_dict holds any tensors; who reads it needs the layers.
    let path = folder.path().join("m.pth");
    export(&path, &model, ExportOptions::default()).unwrap();
    let names: Vec<String> = parse(&path).unwrap().tensors.into_iter().map(|tensor| tensor.name).collect();
    assert_eq!(names, ["conv1.weight", "conv1.bias", "local2.weight", "local2.bias", "fc3.weight", "fc3.bias"]);
}

fn written(model: &Model) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.safetensors");
    write(&path, model).unwrap();
    (folder, path)
}

/// The error from reading these bytes.
fn complaint(bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.safetensors");
    std::fs::write(&path, bytes).unwrap();
    let message = read(&path).unwrap_err().to_string();
    assert!(message.contains("m.safetensors"), "the message lacks the file name: {message}");
    assert!(!message.contains('\n'), "more than a line: {message}");
    message
}

/// The file with a part of its header replaced and the header length adjusted.
fn with_header(path: &Path, from: &str, to: &str) -> Vec<u8> {
    let bytes = std::fs::read(path).unwrap();
    let size = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header = std::str::from_utf8(&bytes[8..8 + size]).unwrap();
    assert!(header.contains(from), "{from} is not in {header}");
    let header = header.replacen(from, to, 1);
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &bytes[8 + size..]].concat()
}

#[test]
fn a_model_round_trips_to_the_same_bytes() {
    let model = model();
    let (_folder, path) = written(&model);
    let back = read(&path).unwrap();
    assert_eq!(back, model);
    let bytes = std::fs::read(&path).unwrap();
    for _ in 0..5 {
        let (_other, again) = written(&back);
        assert_eq!(std::fs::read(again).unwrap(), bytes);
    }
}

#[test]
fn the_mean_image_is_stored_as_a_tensor() {
    let mut model = model();
    let values: Vec<f32> = (0..3 * 6 * 6).map(|i| i as f32 / 7.0).collect();
    model.preprocess.mean = Mean::Image { size: 6, values: Arc::new(values), centre: true };
    let (_folder, path) = written(&model);
    assert_eq!(read(&path).unwrap(), model);
}

#[test]
fn the_crate_safetensors_reads_what_we_write() {
    let model = model();
    let (_folder, path) = written(&model);
    let bytes = std::fs::read(path).unwrap();
    let file = ::safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(file.names().len(), 4);
    let bias = file.tensor("fc2.bias").unwrap();
    assert_eq!(bias.shape(), [3]);
    let expected: Vec<u8> = model.tensors["fc2.bias"].iter().flat_map(|v| v.to_le_bytes()).collect();
    assert_eq!(bias.data(), expected);
}

#[test]
fn other_files_are_recognised() {
    assert!(complaint(b"").contains("0 bytes"));
    assert!(complaint(&[0xFF; 3]).contains("3 bytes"));
    assert!(complaint(&(1u64 << 60).to_le_bytes()).contains("1152921504606846976 bytes"));
    assert!(complaint(&(99_000_000u64).to_le_bytes()).contains("truncated"));
    assert!(complaint(b"\x89PNG\r\n\x1a\nxxxxxxxxxxxx").contains("not a model file"));
    assert!(complaint(b"\x04\0\0\0\0\0\0\0{]  ").contains("invalid safetensors header"));
    assert!(complaint(b"\x02\0\0\0\0\0\0\0{}").contains("metadata holds no net"));
    let folder = tempfile::tempdir().unwrap();
    assert!(read(folder.path()).unwrap_err().to_string().contains("not a file"));
    assert!(read(folder.path().join("none")).unwrap_err().to_string().contains("none"));
}

#[test]
fn every_truncation_is_detected() {
    let (_folder, path) = written(&model());
    let bytes = std::fs::read(path).unwrap();
    for length in 0..bytes.len() {
        complaint(&bytes[..length]);
    }
    assert!(complaint(&[&bytes[..], b"x"].concat()).contains("1 bytes too many"));
    assert!(complaint(&bytes[..bytes.len() - 1]).contains("truncated"));
}

#[test]
fn mismatched_tensors_are_reported_with_both_shapes() {
    let (_folder, path) = written(&model());
    let wrong = complaint(&with_header(&path, "\"shape\":[2,3,3,3]", "\"shape\":[6,9]"));
    assert!(wrong.contains("conv1.weight") && wrong.contains("[6, 9]") && wrong.contains("[2, 3, 3, 3]"), "{wrong}");
    let unknown = complaint(&with_header(&path, "\"fc2.bias\":{", "\"fc3.bias\":{"));
    assert!(unknown.contains("no parameter fc3.bias"), "{unknown}");
    let missing = complaint(&with_header(&path, "\\\"name\\\":\\\"fc2\\\"", "\\\"name\\\":\\\"fc9\\\""));
    assert!(missing.contains("fc2"), "{missing}");
    let kind = complaint(&with_header(&path, "\"F32\"", "\"I32\""));
    assert!(kind.contains("conv1.bias") && kind.contains("I32"), "{kind}");
}

#[test]
fn inconsistent_parts_are_refused() {
    let (_folder, path) = written(&model());
    let classes = complaint(&with_header(&path, "[\\\"cat\\\",", "["));
    assert!(classes.contains("2 class names for the 3 outputs"), "{classes}");
    let crop = complaint(&with_header(&path, "\\\"crop\\\":5", "\\\"crop\\\":4"));
    assert!(crop.contains("4 x 4") && crop.contains("5 x 5"), "{crop}");
    let huge = complaint(&with_header(&path, "\\\"out\\\":2", "\\\"out\\\":18446744073709551615"));
    assert!(huge.contains("conv1"), "{huge}");
    let unreadable = complaint(&with_header(&path, "\\\"op\\\":\\\"conv\\\"", "\\\"op\\\":\\\"magic\\\""));
    assert!(unreadable.contains("invalid net in its metadata"), "{unreadable}");
    let mut model = model();
    model.classes.pop();
    assert!(write(path, &model).unwrap_err().to_string().contains("2 class names for 3 outputs"));
}

#[test]
fn a_model_without_one_of_its_parameters_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let mut model = model();
    model.tensors.remove("conv1.bias");
    let error = write(folder.path().join("m"), &model).unwrap_err().to_string();
    assert!(error.contains("conv1.bias"), "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn random_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        complaint(&bytes);
    }

    #[test]
    fn a_random_header_of_the_right_length_is_refused(header in ".{0,200}") {
        complaint(&[&(header.len() as u64).to_le_bytes(), header.as_bytes()].concat());
    }

    #[test]
    fn a_flipped_byte_never_panics(at in 0usize..4096, to in any::<u8>()) {
        let (_folder, path) = written(&model());
        let mut bytes = std::fs::read(&path).unwrap();
        let at = at % bytes.len();
        bytes[at] = to;
        std::fs::write(&path, &bytes).unwrap();
        // Either it is refused or it is a consistent model: a flipped weight is undetectable.
        if let Ok(back) = read(&path) {
            prop_assert_eq!(back.classes.len(), back.net.classes());
            for (name, shape) in parameters(&back.net).unwrap() {
                prop_assert_eq!(back.tensors[&name].len(), shape.iter().product::<usize>());
            }
        }
    }
}

#[test]
fn int8_ranges_round_trip_and_must_match_the_net() {
    let range = |scale, zero| crate::QuantParams { scale, zero };
    let mut model = model();
    model.ranges = [("conv1".into(), range(0.1f32.sqrt(), 117)), ("fc2".into(), range(1e-20, 0))].into();
    let (_folder, path) = written(&model);
    assert_eq!(read(&path).unwrap(), model);
    for ranges in [
        [("conv1".to_string(), range(0.1, 0))].into(),
        [("conv1".to_string(), range(0.1, 0)), ("fc3".to_string(), range(0.1, 0))].into(),
        [("conv1".to_string(), range(0.1, 0)), ("fc2".to_string(), range(0.0, 0))].into(),
        [("conv1".to_string(), range(-0.1, 0)), ("fc2".to_string(), range(1.0, 0))].into(),
    ] {
        model.ranges = ranges;
        let (_folder, path) = written(&model);
        assert!(read(&path).unwrap_err().to_string().contains("int8 ranges"));
    }
}

#[test]
fn a_training_state_is_inspected_as_such() {
    let (_folder, path) = written(&model());
    let bytes = with_header(&path, "\"net\":", "\"state\":\"{}\",\"net\":");
    std::fs::write(&path, bytes).unwrap();
    let inspection = inspect(&path, None).unwrap();
    assert!(inspection.trouble.unwrap().contains("the state of a training run, not a model"));
    assert_eq!(inspection.tensors.len(), 4);
}

#[cfg(unix)]
#[test]
fn a_pipe_is_refused_without_blocking() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    assert!(inspect(&pipe, None).unwrap_err().to_string().contains("not a file"));
    assert!(read(&pipe).unwrap_err().to_string().contains("not a file"));
}

#[test]
fn pytorch_extensions_are_written_as_pth() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let written = ["m.pth", "m.pth.tar", "m.ckpt", "m.bin"].map(|name| {
        export(at(name), &model(), ExportOptions::default()).unwrap();
        std::fs::read(at(name)).unwrap()
    });
    assert!(written.iter().all(|bytes| *bytes == written[0]));
    assert!(export(at("m.tar"), &model(), ExportOptions::default()).unwrap_err().to_string().contains(".pth.tar"));
}

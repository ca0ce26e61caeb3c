//! Graphs from other programs: PyTorch's exporters, and models encoded here field by field after `onnx.proto`.

use crate::forward::logits;
use crate::protobuf::Message;
use crate::{Model, golden, inspect, load};
use alexnet_net::Op;
use alexnet_net::{Channels, Mean};

/// A node with its operator, inputs, output, and integer attributes.
pub(in crate::onnx) fn node(op: &str, inputs: &[&str], output: &str, attributes: &[(&str, &[u64])]) -> Message<'static> {
    let node = inputs.iter().fold(Message::default(), |node, input| node.text(1, input)).text(2, output).text(4, op);
    attributes.iter().fold(node, |node, (name, numbers)| {
        let one = Message::default().text(1, name);
        let one = if let [number] = numbers { one.int(3, *number) } else { numbers.iter().fold(one, |one, n| one.int(8, *n)) };
        node.message(5, one)
    })
}

/// A float initialiser.
pub(in crate::onnx) fn tensor(name: &str, shape: &[u64], values: &[f32]) -> Message<'static> {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    Message::default().ints(1, shape.iter().copied()).int(2, 1).text(8, name).text(9, bytes)
}

/// A graph input or output of element type `kind`; 1 is float.
pub(in crate::onnx) fn value(name: &str, kind: u64, shape: &[u64]) -> Message<'static> {
    let shape = shape.iter().fold(Message::default(), |shape, n| shape.message(1, Message::default().int(1, *n)));
    Message::default().text(1, name).message(2, Message::default().message(1, Message::default().int(1, kind).message(2, shape)))
}

/// A model with these nodes and initialisers and the input `x` [1, 3, 1, 1].
pub(in crate::onnx) fn model(nodes: Vec<Message<'static>>, tensors: Vec<Message<'static>>, outputs: &[(&str, u64)]) -> Vec<u8> {
    sized(1, nodes, tensors, outputs)
}

/// Like [`model`], with the input `x` [1, 3, size, size]; size 0 is dynamic.
pub(in crate::onnx) fn sized(
    size: u64,
    nodes: Vec<Message<'static>>,
    tensors: Vec<Message<'static>>,
    outputs: &[(&str, u64)],
) -> Vec<u8> {
    let graph = nodes.into_iter().fold(Message::default(), |graph, node| graph.message(1, node));
    let graph =
        tensors.into_iter().fold(graph, |graph, tensor| graph.message(5, tensor)).message(11, value("x", 1, &[1, 3, size, size]));
    let graph = outputs.iter().fold(graph, |graph, (name, kind)| graph.message(12, value(name, *kind, &[1, 2])));
    let mut bytes = Vec::new();
    Message::default().int(1, 8).message(7, graph).write(&mut bytes).unwrap();
    bytes
}

pub(in crate::onnx) fn opened(bytes: &[u8]) -> Model {
    golden::with(bytes, |path| load(path, None).unwrap())
}

pub(in crate::onnx) fn remarks(bytes: &[u8]) -> String {
    golden::with(bytes, |path| inspect(path, None).unwrap().remarks.join("; "))
}

/// A model's outputs for this input.
pub(in crate::onnx) fn answers(model: &Model, input: &[f32]) -> Vec<f32> {
    logits(model, input)
}

/// A linear layer from three values to two, after a Flatten.
pub(in crate::onnx) fn head() -> (Vec<Message<'static>>, Vec<Message<'static>>) {
    let nodes = vec![node("Flatten", &["x"], "flat", &[]), node("Gemm", &["flat", "w", "b"], "y", &[("transB", &[1])])];
    (nodes, vec![tensor("w", &[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), tensor("b", &[2], &[0.5, -0.5])])
}

#[test]
fn decomposed_lrn_is_recognised() {
    let expected: &[u8] = include_bytes!("../../../tests/fixtures/norm_output.f32");
    let expected: Vec<f32> = expected.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    let image: Vec<f32> = (0..3 * 15 * 15).map(|i| i as f32 * 0.01 % 1.0).collect();
    for file in [
        include_bytes!("../../../tests/fixtures/norm_script.onnx").as_slice(),
        include_bytes!("../../../tests/fixtures/norm_dynamo.onnx"),
    ] {
        let model = opened(file);
        assert!(model.net.layers.iter().any(|layer| matches!(layer.op, Op::Lrn { n: 5, alpha: 0.5, .. })), "{:?}", model.net);
        for (found, expected) in answers(&model, &image).iter().zip(&expected) {
            assert!((found - expected).abs() < 1e-5, "{found}, not {expected}");
        }
        golden::broken(file);
    }
}

#[test]
fn a_separate_bias_is_merged_into_the_layer() {
    let nodes = |conv: &[&str]| {
        vec![
            node("Conv", conv, "c", &[]),
            node("Add", &["c", "cb"], "cs", &[]),
            node("Relu", &["cs"], "r", &[]),
            node("Flatten", &["r"], "f", &[]),
            node("MatMul", &["f", "w"], "m", &[]),
            node("Add", &["b", "m"], "y", &[]),
        ]
    };
    let tensors = |shape: &[u64]| {
        vec![
            tensor("cw", &[2, 3, 1, 1], &[1.0, 0.0, 0.0, 0.0, 1.0, 0.0]),
            tensor("c0", &[2], &[10.0, 20.0]),
            tensor("cb", shape, &[1.0, 2.0]),
            tensor("w", &[2, 2], &[1.0, 0.0, 0.0, 1.0]),
            tensor("b", &[1, 2], &[0.25, 0.5]),
        ]
    };
    for shape in [[1, 2, 1, 1].as_slice(), &[2, 1, 1]] {
        let file = model(nodes(&["x", "cw"]), tensors(shape), &[("y", 1)]);
        assert_eq!(answers(&opened(&file), &[3.0, 4.0, 5.0]), [4.25, 6.5]);
    }
    // Added to the layer's own bias.
    let file = model(nodes(&["x", "cw", "c0"]), tensors(&[1, 2, 1, 1]), &[("y", 1)]);
    assert_eq!(answers(&opened(&file), &[3.0, 4.0, 5.0]), [14.25, 26.5]);
    // Along another axis it is not a bias.
    let why = golden::complaint(&model(nodes(&["x", "cw"]), tensors(&[1, 1, 1, 2]), &[("y", 1)]));
    assert!(why.contains("not a bias"), "{why}");
}

#[test]
fn input_normalisation_becomes_preprocessing() {
    let prepared = |mean: [f32; 3], std: [f32; 3]| {
        let (mut nodes, mut tensors) = head();
        nodes[0] = node("Flatten", &["p1"], "flat", &[]);
        let before = [node("Sub", &["x", "mean"], "p0", &[]), node("Div", &["p0", "std"], "p1", &[])];
        nodes.splice(0..0, before);
        tensors.extend([tensor("mean", &[1, 3, 1, 1], &mean), tensor("std", &[3, 1, 1], &std)]);
        let file = model(nodes, tensors, &[("y", 1)]);
        assert!(remarks(&file).contains("normalises its input"));
        opened(&file).preprocess
    };
    let bytes = prepared([104.0, 117.0, 123.0], [2.0; 3]);
    assert_eq!((bytes.channels, bytes.scale, bytes.std), (Channels::Bgr, 1.0, [2.0; 3]));
    assert_eq!(bytes.mean, Mean::Channel([104.0, 117.0, 123.0]));
    let small = prepared([0.5, 0.25, 0.125], [0.5, 0.25, 0.25]);
    assert_eq!((small.channels, small.scale, small.std), (Channels::Rgb, 1.0 / 255.0, [0.5, 0.25, 0.25]));
    assert_eq!(small.mean, Mean::Channel([0.5, 0.25, 0.125]));
}

#[test]
fn the_net_ends_at_the_graph_output() {
    let (mut nodes, tensors) = head();
    nodes.push(node("Relu", &["y"], "late", &[]));
    nodes.push(node("Relu", &["flat"], "nowhere", &[]));
    // The first output is the best class index, which is not the logits.
    nodes.push(node("ArgMax", &["late"], "best", &[]));
    let file = model(nodes, tensors, &[("best", 7), ("y", 1), ("late", 1)]);
    assert_eq!(answers(&opened(&file), &[-1.0, 0.0, 0.0]), [-0.5, -4.5]);
    assert!(remarks(&file).contains("its output y as logits"));
}

#[test]
fn halves_stored_as_integers_are_read() {
    // 1.0, -2.0 and 0.5 as written by `onnx.helper.make_tensor`, in half precision and in bfloat16.
    for (kind, bits) in [(10, [0x3C00, 0xC000, 0x3800]), (16, [0x3F80, 0xC000, 0x3F00])] {
        let (nodes, mut tensors) = head();
        let weight = Message::default().ints(1, [2, 3]).int(2, kind).ints(5, bits.iter().chain(&bits).copied());
        tensors[0] = weight.text(8, "w");
        let file = model(nodes, tensors, &[("y", 1)]);
        assert_eq!(*opened(&file).tensors["fc1.weight"], [1.0, -2.0, 0.5, 1.0, -2.0, 0.5]);
        golden::broken(&file);
    }
}

#[test]
fn optimised_and_quantised_graphs_are_reported() {
    for (op, advice) in [("FusedConv", "without its optimisations"), ("QLinearConv", "without quantisation")] {
        let (mut nodes, tensors) = head();
        nodes.insert(0, node(op, &["x"], "x2", &[]));
        nodes[1] = node("Flatten", &["x2"], "flat", &[]);
        let why = golden::complaint(&model(nodes, tensors, &[("y", 1)]));
        assert!(why.contains(op) && why.contains(advice), "{why}");
    }
}

#[test]
fn unspecified_preprocessing_is_reported_with_the_assumption() {
    let (nodes, tensors) = head();
    let notes = remarks(&model(nodes, tensors, &[("y", 1)]));
    for part in ["RGB in 0 to 1 minus [0.485, 0.456, 0.406]", "--channels --scale --mean --std"] {
        assert!(notes.contains(part), "{notes}");
    }
}

#[test]
fn missing_external_weights_are_reported_by_inspect() {
    let (nodes, mut tensors) = head();
    let place = |key: &str, value: &str| Message::default().text(1, key).text(2, value);
    let beside = Message::default().ints(1, [2, 3]).int(2, 1).text(8, "w").int(14, 1);
    tensors[0] = beside.message(13, place("location", "model.onnx.data")).message(13, place("length", "24"));
    golden::with(&model(nodes, tensors, &[("y", 1)]), |path| {
        let trouble = || inspect(path, None).unwrap().trouble;
        assert!(trouble().unwrap().contains("model.onnx.data"), "{:?}", trouble());
        let data = path.with_file_name("model.onnx.data");
        std::fs::write(&data, [0; 23]).unwrap();
        assert!(trouble().unwrap().contains("24 bytes"), "{:?}", trouble());
        std::fs::write(&data, [0; 24]).unwrap();
        assert_eq!(trouble(), None);
    });
}

#[test]
fn a_net_with_one_output_is_reported() {
    let (nodes, mut tensors) = head();
    tensors[0] = tensor("w", &[1, 3], &[1.0; 3]);
    tensors[1] = tensor("b", &[1], &[0.0]);
    let remarks = golden::with(&model(nodes, tensors, &[("y", 1)]), |path| crate::load_with_notes(path, None).unwrap().1);
    assert!(remarks.iter().any(|remark| remark.contains("single output")), "{remarks:?}");
}

#[test]
fn a_dynamic_size_is_inferred_from_the_linear_layers() {
    // A pool of 10 at stride 10, then 3 x 4 x 4 values: at least 40 pixels.
    let window: &[(&str, &[u64])] = &[("kernel_shape", &[10, 10]), ("strides", &[10, 10])];
    let (mut nodes, mut tensors) = head();
    nodes[0] = node("Flatten", &["p"], "flat", &[]);
    nodes.insert(0, node("MaxPool", &["x"], "p", window));
    tensors[0] = tensor("w", &[2, 48], &[0.0; 96]);
    let file = sized(0, nodes, tensors, &[("y", 1)]);
    assert_eq!(opened(&file).net.image_size, 40);
    assert!(remarks(&file).contains("40 pixels (override with `convert --image-size`"), "{}", remarks(&file));
}

//! Graphs as converters write them: folded weights, other axis orders, padding and batch norms. They are encoded field by field,
//! with outputs computed by hand.

use crate::onnx::graph::tests::{answers, head, model, node, opened, sized, tensor, value};
use crate::protobuf::Message;
use crate::{golden, inspect};
use alexnet_net::{Op, Pad};

/// An integer constant.
fn ints(name: &str, numbers: &[i64]) -> Message<'static> {
    let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    Message::default().ints(1, [numbers.len() as u64]).int(2, 7).text(8, name).text(9, bytes)
}

/// [`head`] with its weight `w` [[1, 2, 3], [4, 5, 6]] produced by the node `made`.
fn behind(made: Message<'static>, kept: Vec<Message<'static>>) -> Vec<u8> {
    let (mut nodes, tensors) = head();
    nodes.insert(0, made);
    let tensors = tensors.into_iter().skip(1).chain(kept).collect();
    model(nodes, tensors, &[("y", 1)])
}

#[test]
fn folded_weights_are_read() {
    let six = |shape: &[u64], values: &[f32; 6]| tensor("k", shape, values);
    let rows = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    let whole = Message::default().text(1, "value").message(5, six(&[2, 3], &rows));
    let constant = Message::default().text(2, "w").text(4, "Constant").message(5, whole);
    for (what, made, kept) in [
        ("Identity", node("Identity", &["k"], "w", &[]), vec![six(&[2, 3], &rows)]),
        ("Cast", node("Cast", &["k"], "w", &[("to", &[1])]), vec![six(&[2, 3], &rows)]),
        ("Transpose", node("Transpose", &["k"], "w", &[("perm", &[1, 0])]), vec![six(&[3, 2], &[1.0, 4.0, 2.0, 5.0, 3.0, 6.0])]),
        ("Transpose of no order", node("Transpose", &["k"], "w", &[]), vec![six(&[3, 2], &[1.0, 4.0, 2.0, 5.0, 3.0, 6.0])]),
        ("Reshape", node("Reshape", &["k", "s"], "w", &[]), vec![six(&[6], &rows), ints("s", &[2, -1])]),
        ("Unsqueeze", node("Squeeze", &["k", "s"], "w", &[]), vec![six(&[2, 1, 3], &rows), ints("s", &[1])]),
        ("Flatten", node("Flatten", &["k"], "w", &[]), vec![six(&[2, 3, 1], &rows)]),
        ("Constant", constant, vec![]),
        ("Pad", node("Pad", &["k", "p"], "w", &[]), vec![tensor("k", &[1, 2], &[2.0, 3.0]), ints("p", &[0, 1, 1, 0])]),
    ] {
        let expected = if what == "Pad" { [2.0 * 10.0 + 3.0 * 100.0 + 0.5, -0.5] } else { [321.5, 653.5] };
        assert_eq!(answers(&opened(&behind(made, kept)), &[1.0, 10.0, 100.0]), expected, "{what}");
    }
    // Chained nodes on a matrix that was only transposed by strides.
    let (mut nodes, tensors) = head();
    nodes.splice(
        0..0,
        [node("Transpose", &["k"], "t", &[]), node("Reshape", &["t", "s"], "r", &[]), node("Identity", &["r"], "w", &[])],
    );
    let kept = [tensor("k", &[3, 2], &[1.0, 4.0, 2.0, 5.0, 3.0, 6.0]), ints("s", &[2, 3])];
    let file = model(nodes, tensors.into_iter().skip(1).chain(kept).collect(), &[("y", 1)]);
    assert_eq!(answers(&opened(&file), &[1.0, 10.0, 100.0]), [321.5, 653.5]);
    golden::broken(&file);
}

#[test]
fn equal_biases_are_one_initializer() {
    // PyTorch's older exporter deduplicates equal tensors, so the file is smaller than the net's parameters.
    let nodes = vec![
        node("Identity", &["b1"], "b2", &[]),
        node("Conv", &["x", "c1", "b1"], "v1", &[]),
        node("Conv", &["v1", "c2", "b2"], "v2", &[]),
        node("Flatten", &["v2"], "f", &[]),
        node("Gemm", &["f", "w", "b"], "y", &[("transB", &[1])]),
    ];
    let wide = 2000;
    let tensors = vec![
        tensor("c1", &[wide, 3, 1, 1], &vec![0.0; 3 * wide as usize]),
        tensor("b1", &[wide], &vec![0.5; wide as usize]),
        tensor("c2", &[wide, 1, 1, 1], &vec![2.0; wide as usize]),
        tensor("w", &[2, wide], &vec![1.0; 2 * wide as usize]),
        tensor("b", &[2], &[0.0, 1.0]),
    ];
    let mut nodes = nodes;
    nodes[2] = node("Conv", &["v1", "c2", "b2"], "v2", &[("group", &[wide])]);
    let file = model(nodes, tensors, &[("y", 1)]);
    assert_eq!(answers(&opened(&file), &[1.0, 1.0, 1.0]), [3000.0, 3001.0]);
}

/// A convolution with one all-ones kernel of size `window` over `size` pixels, then a linear layer that sums its outputs.
fn sums(size: u64, nodes: Vec<Message<'static>>, window: u64, outputs: u64, more: Vec<Message<'static>>) -> Vec<u8> {
    let mut all = nodes;
    all.push(node("Flatten", &["v"], "f", &[]));
    all.push(node("Gemm", &["f", "w", "b"], "y", &[("transB", &[1])]));
    let ones = vec![1.0; (3 * window * window) as usize];
    let mut tensors =
        vec![tensor("c", &[1, 3, window, window], &ones), tensor("w", &[2, outputs], &vec![1.0; 2 * outputs as usize])];
    tensors.push(tensor("b", &[2], &[0.0, 0.5]));
    tensors.extend(more);
    sized(size, all, tensors, &[("y", 1)])
}

/// A node with a string attribute.
fn with_text(node: Message<'static>, name: &str, text: &str) -> Message<'static> {
    node.message(5, Message::default().text(1, name).text(4, text))
}

fn first_pad(file: &[u8]) -> Pad {
    match opened(file).net.layers[0].op {
        Op::Conv { pad, .. } | Op::MaxPool { pad, .. } => pad,
        ref other => panic!("{other:?}"),
    }
}

#[test]
fn automatic_padding_depends_on_the_input_size() {
    let strides: &[(&str, &[u64])] = &[("strides", &[2, 2])];
    let file = |auto: &str, size: u64, outputs: u64| {
        sums(size, vec![with_text(node("Conv", &["x", "c"], "v", strides), "auto_pad", auto)], 4, outputs, vec![])
    };
    // 5 pixels at stride 2 give 3 windows of 4: 2 * 2 + 4 - 5 = 3 padding pixels.
    assert_eq!(first_pad(&file("SAME_UPPER", 5, 9)), Pad { top: 1, left: 1, bottom: 2, right: 2 });
    assert_eq!(first_pad(&file("SAME_LOWER", 5, 9)), Pad { top: 2, left: 2, bottom: 1, right: 1 });
    assert_eq!(first_pad(&file("VALID", 5, 1)), Pad::all(0));
    assert_eq!(answers(&opened(&file("VALID", 5, 1)), &[1.0; 75]), [48.0, 48.5]);
    let why = golden::complaint(&file("SAME_UPPER", 0, 9));
    assert!(why.contains("input size is dynamic") && why.contains("export it again"), "{why}");
    golden::broken(&file("SAME_UPPER", 5, 9));
}

#[test]
fn a_pad_node_becomes_the_padding_of_the_next_layer() {
    let pads: &[(&str, &[u64])] = &[("pads", &[0, 0, 1, 2, 0, 0, 2, 1])];
    let file = sums(2, vec![node("Pad", &["x"], "p", pads), node("Conv", &["p", "c"], "v", &[])], 5, 1, vec![]);
    assert_eq!(first_pad(&file), Pad { top: 1, left: 2, bottom: 2, right: 1 });
    assert_eq!(answers(&opened(&file), &[1.0; 12]), [12.0, 12.5]);
    // A mean subtracted after the Pad would also be subtracted from the zeros.
    let nodes = vec![node("Pad", &["x"], "p", pads), node("Sub", &["p", "mean"], "q", &[]), node("Conv", &["q", "c"], "v", &[])];
    let why = golden::complaint(&sums(2, nodes, 5, 1, vec![tensor("mean", &[], &[0.5])]));
    assert!(why.contains("Pad before a Sub"), "{why}");
    // PyTorch's older exporter computes ONNX's order of the same padding in the graph.
    let listed = |name: &str, numbers: &[i64]| {
        let value = Message::default().text(1, "value").message(5, ints("", numbers));
        Message::default().text(2, name).text(4, "Constant").message(5, value)
    };
    let zero = Message::default().text(1, "value").message(5, ints("", &[0]));
    let nodes = vec![
        listed("four", &[2, 1, 1, 2]),
        listed("length", &[4]),
        Message::default().text(1, "length").text(2, "zeros").text(4, "ConstantOfShape").message(5, zero),
        node("Concat", &["four", "zeros"], "eight", &[("axis", &[0])]),
        listed("pairs", &[-1, 2]),
        node("Reshape", &["eight", "pairs"], "table", &[]),
        listed("start", &[-1]),
        listed("end", &[-i64::MAX]),
        listed("axis", &[0]),
        node("Slice", &["table", "start", "end", "axis", "start"], "turned", &[]),
        node("Transpose", &["turned"], "columns", &[("perm", &[1, 0])]),
        node("Reshape", &["columns", "start"], "pads", &[]),
        node("Pad", &["x", "pads"], "p", &[]),
        node("Conv", &["p", "c"], "v", &[]),
    ];
    let file = sums(2, nodes, 5, 1, vec![]);
    assert_eq!(first_pad(&file), Pad { top: 1, left: 2, bottom: 2, right: 1 });
    golden::broken(&file);
    // Before a max pool, zero padding is neutral only if all values are non-negative.
    let pool: &[(&str, &[u64])] = &[("kernel_shape", &[3, 3])];
    let pads: &[(&str, &[u64])] = &[("pads", &[0, 0, 0, 0, 0, 0, 1, 1])];
    let nodes = |relu: bool| {
        let conv = node("Conv", &["x", "c"], if relu { "a" } else { "r" }, &[]);
        let between = relu.then(|| node("Relu", &["a"], "r", &[]));
        std::iter::once(conv)
            .chain(between)
            .chain([node("Pad", &["r"], "p", pads), node("MaxPool", &["p"], "v", pool)])
            .collect::<Vec<_>>()
    };
    let file = sums(2, nodes(true), 1, 1, vec![]);
    assert_eq!(answers(&opened(&file), &[1.0; 12]), [3.0, 3.5]);
    let why = golden::complaint(&sums(2, nodes(false), 1, 1, vec![]));
    assert!(why.contains("Pad before a MaxPool"), "{why}");
}

#[test]
fn batch_norm_is_a_layer() {
    let norm = |inputs: &[&str]| {
        let eps = Message::default().text(1, "epsilon").float(2, 1.0);
        vec![node("Conv", &["x", "c"], "a", &[]), node("BatchNormalization", inputs, "v", &[]).message(5, eps)]
    };
    let parts = [("g", 2.0), ("h", 10.0), ("m", 1.0), ("s", 3.0)].map(|(name, value)| tensor(name, &[1], &[value]));
    let file = sums(1, norm(&["a", "g", "h", "m", "s"]), 1, 1, parts.to_vec_of());
    // (3 - 1) / sqrt(3 + 1) * 2 + 10.
    assert_eq!(answers(&opened(&file), &[1.0; 3]), [12.0, 12.5]);
    let names: Vec<String> = opened(&file).tensors.into_keys().filter(|name| name.starts_with("bn")).collect();
    assert_eq!(names, ["bn1.bias", "bn1.running_mean", "bn1.running_var", "bn1.weight"]);
    golden::broken(&file);
    let why = golden::complaint(&sums(1, norm(&["a", "g", "h", "m", "away"]), 1, 1, vec![]));
    assert!(why.contains("not a constant"), "{why}");
}

/// `Message` is not `Clone`.
trait IntoVec<'a> {
    fn to_vec_of(self) -> Vec<Message<'a>>;
}

impl<'a, const N: usize> IntoVec<'a> for [Message<'a>; N] {
    fn to_vec_of(self) -> Vec<Message<'a>> {
        self.into_iter().collect()
    }
}

#[test]
fn products_and_sums_after_a_layer_become_a_batch_norm() {
    let nodes = vec![
        node("Conv", &["x", "c"], "a", &[]),
        node("Mul", &["a", "g"], "m", &[]),
        node("Add", &["h", "m"], "s", &[]),
        node("Div", &["s", "two"], "d", &[]),
        node("Sub", &["d", "two"], "v", &[]),
    ];
    let parts = [tensor("g", &[1, 1, 1], &[2.0]), tensor("h", &[1, 1, 1, 1], &[10.0]), tensor("two", &[], &[2.0])];
    let file = sums(1, nodes, 1, 1, parts.to_vec_of());
    let found = answers(&opened(&file), &[1.0; 3]);
    assert!((found[0] - 6.0).abs() < 1e-5 && (found[1] - 6.5).abs() < 1e-5, "{found:?}");
}

#[test]
fn channels_last_is_accepted_before_and_after_the_maps() {
    let graph = |nodes: Vec<Message<'static>>, shape: &[u64], weight: &[f32]| {
        let tensors = [tensor("w", &[12, 2], weight), tensor("b", &[2], &[0.0, 0.5]), ints("flat", &[-1, 12])];
        let graph = nodes.into_iter().fold(Message::default(), |graph, node| graph.message(1, node));
        let graph = tensors.into_iter().fold(graph, |graph, tensor| graph.message(5, tensor));
        let graph = graph.message(11, value("x", 1, shape)).message(12, value("y", 1, &[1, 2]));
        let mut bytes = Vec::new();
        Message::default().int(1, 8).message(7, graph).write(&mut bytes).unwrap();
        bytes
    };
    // A 2 x 2 image, values 0 to 11 in channel, row, column order; weights in row, column, channel order.
    let image: Vec<f32> = (0..12).map(|i| i as f32).collect();
    let weight: Vec<f32> = (0..24).map(|i| (i * i) as f32).collect();
    let mut expected = [0.0, 0.5];
    for (at, rest) in weight.chunks(2).enumerate() {
        let (pixel, channel) = (at / 3, at % 3);
        expected.iter_mut().zip(rest).for_each(|(sum, weight)| *sum += weight * image[channel * 4 + pixel]);
    }
    let inner = |from: &str, to: &str| {
        vec![
            node("Relu", &[from], "r", &[]),
            node("Transpose", &["r"], to, &[("perm", &[0, 2, 3, 1])]),
            node("Reshape", &[to, "flat"], "f", &[]),
            node("Gemm", &["f", "w", "b"], "y", &[]),
        ]
    };
    let first = graph(inner("x", "t"), &[1, 3, 2, 2], &weight);
    assert_eq!(answers(&opened(&first), &image), expected);
    let mut nodes = inner("n", "t");
    nodes.insert(0, node("Transpose", &["x"], "n", &[("perm", &[0, 3, 1, 2])]));
    let last = graph(nodes, &[1, 2, 2, 3], &weight);
    assert_eq!(answers(&opened(&last), &image), expected);
    golden::broken(&last);
    // Exchanging rows and columns changes the image.
    let mut nodes = inner("n", "t");
    nodes.insert(0, node("Transpose", &["x"], "n", &[("perm", &[0, 3, 2, 1])]));
    let why = golden::complaint(&graph(nodes, &[1, 2, 2, 3], &weight));
    assert!(why.contains("Transpose") && why.contains("[0, 3, 2, 1]"), "{why}");
}

/// [`head`] with its weight in an external file at byte 8.
fn external(location: &str, length: Option<&str>) -> Vec<u8> {
    let (nodes, mut tensors) = head();
    let place = |key: &str, value: &str| Message::default().text(1, key).text(2, value);
    let beside = Message::default().ints(1, [2, 3]).int(2, 1).text(8, "w").int(14, 1);
    let beside = beside.message(13, place("location", location)).message(13, place("offset", "8"));
    tensors[0] = length.into_iter().fold(beside, |beside, length| beside.message(13, place("length", length)));
    model(nodes, tensors, &[("y", 1)])
}

fn weights_of(values: [f32; 6]) -> Vec<u8> {
    std::iter::repeat_n(0u8, 8).chain(values.iter().flat_map(|value| value.to_le_bytes())).collect()
}

#[test]
fn external_data_may_omit_their_length() {
    for length in [None, Some("24")] {
        for location in ["w.data", "parts/w.data"] {
            golden::with(&external(location, length), |path| {
                let data = path.with_file_name(location);
                std::fs::create_dir_all(data.parent().unwrap()).unwrap();
                std::fs::write(&data, weights_of([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])).unwrap();
                assert_eq!(inspect(path, None).unwrap().trouble, None);
                let model = crate::load(path, None).unwrap();
                assert_eq!(answers(&model, &[1.0, 10.0, 100.0]), [321.5, 653.5]);
            });
        }
    }
}

#[cfg(unix)]
#[test]
fn external_data_must_stay_in_the_models_folder() {
    let elsewhere = tempfile::tempdir().unwrap();
    let secret = elsewhere.path().join("secret");
    std::fs::write(&secret, weights_of([0.0; 6])).unwrap();
    golden::with(&external("w.data", None), |path| {
        let link = path.with_file_name("w.data");
        std::os::unix::fs::symlink(&secret, &link).unwrap();
        for why in [crate::load(path, None).unwrap_err().to_string(), inspect(path, None).unwrap().trouble.unwrap()] {
            assert!(why.contains("is outside the model's folder"), "{why}");
        }
        // A link within the folder is accepted.
        std::fs::remove_file(&link).unwrap();
        std::fs::write(path.with_file_name("there"), weights_of([0.0; 6])).unwrap();
        std::os::unix::fs::symlink("there", &link).unwrap();
        crate::load(path, None).unwrap();
    });
    for location in ["../secret", "/etc/hostname", "a/../../secret", ""] {
        let why = golden::complaint(&external(location, None));
        assert!(why.contains("outside the model's folder"), "{why}");
    }
}

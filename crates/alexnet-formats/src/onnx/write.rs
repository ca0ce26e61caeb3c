//! Writer for an ONNX graph of opset 17, which ONNX Runtime, tract and OpenVINO read.

use super::super::export_plan::Export;
use super::super::model::MEAN_TENSOR;
use super::super::protobuf::Message;
use super::proto::{self, Node};
use crate::{Error, Result};
use alexnet_files as files;
use alexnet_net::{Activation, Net, Op, Pad, Shape};
use alexnet_net::{Channels, Mean, Preprocess};
use std::path::Path;

const OPSET: u64 = 17;
/// The IR version that introduced opset 17.
const IR_VERSION: u64 = 8;
const FLOAT: u64 = 1;
const UINT8: u64 = 2;
const INT64: u64 = 7;

/// Writes a model with the input `input` [n, 3, size, size], normalised, or `image` [n, size, size, 3], RGB bytes; and the
/// output `logits` [n, classes].
///
/// # Errors
/// Layers that cannot be expressed, or a file that cannot be written; an existing file is kept.
pub(crate) fn write(path: &Path, export: &Export<'_>, preprocess: bool) -> Result<()> {
    let (graph, input) = graph(&export.net, preprocess.then_some(&export.model.preprocess), false)?;
    let mut message = graph.message.text(2, &export.net.name);
    for parameter in &export.parameters {
        message = message.message(5, shape_of(&parameter.name, FLOAT, &parameter.shape).late_values(9, parameter));
    }
    if let Some((mean, side)) = export.mean() {
        message = message.message(5, shape_of(MEAN_TENSOR, FLOAT, &[3, side, side]).values(9, mean));
    }
    message = message.message(11, input).message(12, value("logits", FLOAT, &[export.net.classes()]));
    let mut model = Message::default()
        .int(1, IR_VERSION)
        .text(2, "alexnet")
        .text(3, env!("CARGO_PKG_VERSION"))
        .message(7, message)
        .message(8, Message::default().text(1, "").int(2, OPSET));
    for (key, text) in &export.metadata {
        model = model.message(14, Message::default().text(1, key).text(2, text));
    }
    files::write_atomic(path, |out| model.write(out))
}

/// The nodes written for a net, without constants, for comparison with a possibly modified file. `preprocess` is the
/// preprocessing before it.
pub(super) fn nodes(net: &Net, preprocess: Option<&Preprocess>) -> Result<Vec<Node>> {
    Ok(graph(net, preprocess, true)?.0.nodes)
}

/// The graph of a net and its input; `bare` omits the constants' values.
fn graph(net: &Net, preprocess: Option<&Preprocess>, bare: bool) -> Result<(Graph<'static>, Message<'static>)> {
    let mut graph = Graph { message: Message::default(), nodes: Vec::new(), value: String::new(), names: 0, flat: false, bare };
    let size = net.image_size;
    let input = if let Some(preprocess) = preprocess {
        graph.value = "picture".into();
        graph.prepare(preprocess);
        value("picture", UINT8, &[size, size, 3])
    } else {
        graph.value = "input".into();
        value("input", FLOAT, &[3, size, size])
    };
    let shapes = net.shapes()?;
    let last = net.layers.iter().rposition(|layer| !matches!(layer.op, Op::Dropout { .. })).unwrap_or_default();
    for (i, (layer, shape)) in net.layers.iter().zip(&shapes).enumerate() {
        let to = if i == last { "logits" } else { &layer.name };
        graph.layer(&layer.op, &layer.name, to, shape.input, shape.output)?;
    }
    if graph.value != "logits" {
        return Err(Error::Invalid("the last layer is a no-op and cannot be written".into()));
    }
    Ok((graph, input))
}

/// ValueInfoProto of shape [n, ...].
fn value(name: &str, kind: u64, shape: &[usize]) -> Message<'static> {
    let dimensions = shape.iter().map(|&n| Message::default().int(1, n as u64));
    let shape = std::iter::once(Message::default().text(2, "n")).chain(dimensions);
    let shape = shape.fold(Message::default(), |shape, dimension| shape.message(1, dimension));
    let tensor = Message::default().int(1, kind).message(2, shape);
    Message::default().text(1, name).message(2, Message::default().message(1, tensor))
}

/// TensorProto without values.
fn shape_of<'a>(name: &str, kind: u64, shape: &[usize]) -> Message<'a> {
    Message::default().ints(1, shape.iter().map(|&n| n as u64)).int(2, kind).text(8, name)
}

/// The graph so far.
struct Graph<'a> {
    message: Message<'a>,
    nodes: Vec<Node>,
    /// The input of the next node.
    value: String,
    /// Number of constants.
    names: usize,
    /// Whether maps have been flattened.
    flat: bool,
    /// Whether constants are written without values.
    bare: bool,
}

/// An attribute of a node.
enum Attribute<'s> {
    Int(&'s str, i64),
    Ints(&'s str, Vec<usize>),
    Float(&'s str, f32),
}

impl Attribute<'_> {
    /// Converts to the reader's representation.
    fn read(&self) -> proto::Attribute {
        let mut read = proto::Attribute::default();
        let name = match self {
            Attribute::Int(name, number) => {
                read.int = Some(*number);
                name
            }
            Attribute::Float(name, number) => {
                read.float = Some(*number);
                name
            }
            Attribute::Ints(name, numbers) => {
                read.ints = numbers.iter().map(|&n| n as i64).collect();
                name
            }
        };
        read.name = name.to_string();
        read
    }

    fn message(&self) -> Message<'static> {
        match self {
            Attribute::Int(name, number) => Message::default().text(1, name).int(3, *number as u64).int(20, 2),
            Attribute::Float(name, number) => Message::default().text(1, name).float(2, *number).int(20, 1),
            Attribute::Ints(name, numbers) => {
                // Unpacked, as the onnx package writes it; old proto2 parsers accept both.
                let message = numbers.iter().fold(Message::default().text(1, name), |m, &n| m.int(8, n as u64));
                message.int(20, 7)
            }
        }
    }
}

impl Graph<'_> {
    /// Adds a node with these inputs and outputs.
    fn node(&mut self, op: &str, inputs: &[&str], outputs: &[&str], attributes: &[Attribute<'_>]) {
        let mut node = Message::default();
        for input in inputs {
            node = node.text(1, input);
        }
        for output in outputs {
            node = node.text(2, output);
        }
        node = node.text(3, outputs[0]).text(4, op);
        for attribute in attributes {
            node = node.message(5, attribute.message());
        }
        let names = |names: &[&str]| names.iter().map(|name| name.to_string()).collect();
        let attributes = attributes.iter().map(Attribute::read).collect();
        self.nodes.push(Node { op: op.into(), inputs: names(inputs), outputs: names(outputs), attributes });
        self.message = std::mem::take(&mut self.message).message(1, node);
    }

    /// Appends a node to the chain, with the output `to`.
    fn then(&mut self, op: &str, more: &[&str], to: &str, attributes: &[Attribute<'_>]) {
        let from = std::mem::replace(&mut self.value, to.into());
        let inputs: Vec<&str> = std::iter::once(from.as_str()).chain(more.iter().copied()).collect();
        self.node(op, &inputs, &[to], attributes);
    }

    /// Adds a constant and returns its name.
    fn constant(&mut self, shape: &[usize], values: impl FnOnce() -> Vec<f32>) -> String {
        let bytes: Vec<u8> = if self.bare { Vec::new() } else { values().iter().flat_map(|v| v.to_le_bytes()).collect() };
        self.raw_constant(FLOAT, shape, &bytes)
    }

    fn raw_constant(&mut self, kind: u64, shape: &[usize], bytes: &[u8]) -> String {
        self.names += 1;
        let name = format!("constant{}", self.names);
        if !self.bare {
            self.message = std::mem::take(&mut self.message).message(5, shape_of(&name, kind, shape).text(9, bytes));
        }
        name
    }

    /// Adds the preprocessing from RGB bytes [n, size, size, 3] to the net's input.
    fn prepare(&mut self, preprocess: &Preprocess) {
        self.then("Cast", &[], "picture.numbers", &[Attribute::Int("to", FLOAT as i64)]);
        self.then("Transpose", &[], "picture.planes", &[Attribute::Ints("perm", vec![0, 3, 1, 2])]);
        if preprocess.channels == Channels::Bgr {
            let order: Vec<u8> = [2i64, 1, 0].iter().flat_map(|v| v.to_le_bytes()).collect();
            let order = self.raw_constant(INT64, &[3], &order);
            self.then("Gather", &[&order], "picture.bgr", &[Attribute::Int("axis", 1)]);
        }
        let scale = self.constant(&[], || vec![preprocess.scale]);
        self.then("Mul", &[&scale], "picture.scaled", &[]);
        match &preprocess.mean {
            Mean::Channel(mean) => {
                let mean = self.constant(&[3, 1, 1], || mean.to_vec());
                self.then("Sub", &[&mean], "picture.centred", &[]);
            }
            // The input is the centre crop, so the mean image is cropped at the centre too.
            Mean::Image { size, values, .. } => {
                let crop = preprocess.crop;
                let middle = || {
                    let first = alexnet_net::preprocess::centre(*size, crop);
                    let rows = (0..3 * crop).map(|i| (i / crop * size + first + i % crop) * size + first);
                    rows.flat_map(|at| &values[at..at + crop]).copied().collect()
                };
                let mean = self.constant(&[3, crop, crop], middle);
                self.then("Sub", &[&mean], "picture.centred", &[]);
            }
        }
        let std = self.constant(&[3, 1, 1], || preprocess.std.to_vec());
        self.then("Div", &[&std], "picture.prepared", &[]);
    }

    fn layer(&mut self, op: &Op, name: &str, to: &str, input: Shape, output: Shape) -> Result<()> {
        let refuse = |what: &str| Err(Error::Invalid(format!("layer {name}: {what} cannot be written as ONNX")));
        match *op {
            Op::Conv { kernel, stride, pad, groups, .. } => {
                let mut attributes = window(kernel, stride, pads(kernel, stride, pad, input, output));
                attributes.push(Attribute::Int("group", groups as i64));
                let (weight, bias) = (format!("{name}.weight"), format!("{name}.bias"));
                self.then("Conv", &[&weight, &bias], to, &attributes);
            }
            Op::LocalConv { .. } => return refuse("a locally connected layer"),
            Op::Activation { function } => {
                let op = match function {
                    Activation::Relu => "Relu",
                    Activation::Tanh => "Tanh",
                    Activation::Sigmoid => "Sigmoid",
                };
                self.then(op, &[], to, &[]);
            }
            Op::Lrn { n, alpha, beta, k, divide_by_n, columns } => {
                // ONNX divides alpha by the window size.
                let alpha = if divide_by_n { alpha } else { alpha * n as f32 };
                let norm = [
                    Attribute::Int("size", n as i64),
                    Attribute::Float("alpha", alpha),
                    Attribute::Float("beta", beta),
                    Attribute::Float("bias", k),
                ];
                self.columns(name, to, columns, input.channels, &norm);
            }
            Op::SpatialNorm { n, alpha, beta, k } => self.spatial_norm(name, to, n, [alpha, beta, k]),
            Op::BatchNorm { eps, .. } => {
                let parts = ["weight", "bias", "running_mean", "running_var"].map(|part| format!("{name}.{part}"));
                self.then("BatchNormalization", &parts.each_ref().map(String::as_str), to, &[Attribute::Float("epsilon", eps)]);
            }
            Op::MaxPool { kernel, stride, pad, .. } => {
                let pads = pads(kernel, stride, pad, input, output);
                self.then("MaxPool", &[], to, &window(kernel, stride, pads));
            }
            Op::AvgPool { kernel, stride, pad, .. } => {
                let wide = pads(kernel, stride, pad, input, output);
                if wide != pad {
                    return refuse("an average pool whose last window extends past the edge");
                }
                let mut attributes = window(kernel, stride, pad);
                attributes.push(Attribute::Int("count_include_pad", 1));
                self.then("AveragePool", &[], to, &attributes);
            }
            Op::AdaptiveAvgPool { out } if out == input.size => self.then("Identity", &[], to, &[]),
            // Means over rows and columns as two matrix products, because windows may differ in size.
            Op::AdaptiveAvgPool { out } => {
                let means = || adaptive(input.size, out);
                let rows = self.constant(&[out, input.size], means);
                let columns = || super::super::tensor_data::transposed(&means(), &[out, input.size]);
                let columns = self.constant(&[input.size, out], columns);
                let half = format!("{name}.columns");
                self.then("MatMul", &[&columns], &half, &[]);
                let from = std::mem::replace(&mut self.value, to.into());
                self.node("MatMul", &[&rows, &from], &[to], &[]);
            }
            Op::Dropout { .. } => {}
            Op::Linear { .. } => {
                if !std::mem::replace(&mut self.flat, true) {
                    self.then("Flatten", &[], &format!("{name}.flat"), &[Attribute::Int("axis", 1)]);
                }
                let (weight, bias) = (format!("{name}.weight"), format!("{name}.bias"));
                self.then("Gemm", &[&weight, &bias], to, &[Attribute::Int("transB", 1)]);
            }
        }
        Ok(())
    }

    /// LRN over all channels, or within each channel group.
    fn columns(&mut self, name: &str, to: &str, columns: usize, channels: usize, norm: &[Attribute<'_>]) {
        if columns == 1 {
            return self.then("LRN", &[], to, norm);
        }
        let part = |what: &str, i: usize| format!("{name}.{what}{i}");
        let parts: Vec<String> = (0..columns).map(|i| part("column", i)).collect();
        let normed: Vec<String> = (0..columns).map(|i| part("normed", i)).collect();
        let sizes: Vec<u8> = (0..columns).flat_map(|_| ((channels / columns) as i64).to_le_bytes()).collect();
        let sizes = self.raw_constant(INT64, &[columns], &sizes);
        let from = std::mem::replace(&mut self.value, to.into());
        let names: Vec<&str> = parts.iter().map(String::as_str).collect();
        self.node("Split", &[&from, &sizes], &names, &[Attribute::Int("axis", 1)]);
        for (part, normed) in parts.iter().zip(&normed) {
            self.node("LRN", &[part], &[normed], norm);
        }
        let names: Vec<&str> = normed.iter().map(String::as_str).collect();
        self.node("Concat", &names, &[to], &[Attribute::Int("axis", 1)]);
    }

    /// a / (k + alpha * mean of a^2 over the window, zeros beyond the edge)^beta.
    fn spatial_norm(&mut self, name: &str, to: &str, n: usize, [alpha, beta, k]: [f32; 3]) {
        let from = self.value.clone();
        let named = |what: &str| format!("{name}.{what}");
        self.then("Mul", &[&from], &named("squares"), &[]);
        let mut attributes = window(n, 1, Pad::all(n / 2));
        attributes.push(Attribute::Int("count_include_pad", 1));
        self.then("AveragePool", &[], &named("means"), &attributes);
        let [alpha, beta, k] = [alpha, beta, k].map(|number| self.constant(&[], || vec![number]));
        self.then("Mul", &[&alpha], &named("scaled"), &[]);
        self.then("Add", &[&k], &named("sum"), &[]);
        self.then("Pow", &[&beta], &named("power"), &[]);
        let power = std::mem::replace(&mut self.value, to.into());
        self.node("Div", &[&from, &power], &[to], &[]);
    }
}

fn window(kernel: usize, stride: usize, pad: Pad) -> Vec<Attribute<'static>> {
    vec![
        Attribute::Ints("kernel_shape", vec![kernel; 2]),
        Attribute::Ints("strides", vec![stride; 2]),
        Attribute::Ints("pads", vec![pad.top, pad.left, pad.bottom, pad.right]),
    ]
}

/// ONNX windows round down. The bottom and right padding extends to the end of our last window.
fn pads(kernel: usize, stride: usize, pad: Pad, input: Shape, output: Shape) -> Pad {
    let reach = (output.size - 1) * stride + kernel;
    let wide = |before: usize, after: usize| after.max(reach.saturating_sub(before + input.size));
    Pad { bottom: wide(pad.top, pad.bottom), right: wide(pad.left, pad.right), ..pad }
}

/// Averaging matrix [out, size] of PyTorch's adaptive windows.
fn adaptive(size: usize, out: usize) -> Vec<f32> {
    let mut means = vec![0.0; out * size];
    for (i, row) in means.chunks_exact_mut(size).enumerate() {
        let (from, to) = (i * size / out, ((i + 1) * size).div_ceil(out));
        row[from..to].fill(1.0 / (to - from) as f32);
    }
    means
}

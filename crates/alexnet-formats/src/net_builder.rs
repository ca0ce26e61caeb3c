//! A net built layer by layer out of another format's chain of operators.

use super::format::Graph;
use super::reader::ParseResult;
use alexnet_net::{Activation, BiasInit, DropoutStyle, Layer, Net, Op, Pad, Rounding, Shape, WeightInit};
use std::collections::HashMap;

/// Layers so far, and the tensors that are their parameters.
#[derive(Debug)]
pub(crate) struct NetBuilder {
    image_size: usize,
    layers: Vec<Layer>,
    parameters: Vec<Parameters>,
    /// Convolutions and linear layers so far.
    number: usize,
    /// How many layers were given each name; the later ones get a letter more.
    names: HashMap<String, usize>,
    /// What the last layer gives; none where the size of the input is open, or where a layer does not fit.
    shape: Option<Shape>,
}

/// A layer with parameters.
#[derive(Debug)]
struct Parameters {
    layer: usize,
    /// Tensors of weight and bias, and for a batch norm of running mean and variance.
    tensors: Vec<usize>,
    /// Whether the weight is [in, out].
    in_out: bool,
}

// Files of weights do not say how training began; a net that is no preset begins, if it is ever trained anew, as most do.
const WEIGHT: WeightInit = WeightInit::UniformFanIn;
const BIAS: BiasInit = BiasInit::UniformFanIn;

impl NetBuilder {
    /// A builder for images of this size; none if the file leaves it open ([`NetBuilder::fit`]).
    pub(crate) fn new(image_size: Option<usize>) -> Self {
        let shape = image_size.map(|size| Shape { channels: 3, size });
        let (layers, parameters, names) = (Vec::new(), Vec::new(), HashMap::new());
        NetBuilder { image_size: image_size.unwrap_or(224), layers, parameters, number: 0, names, shape }
    }

    /// Adds a layer named after its kind and the number of convolutions and linear layers so far.
    pub(crate) fn push(&mut self, kind: &str, op: Op) {
        let mut name = format!("{kind}{}", self.number);
        let before = self.names.entry(name.clone()).or_default();
        name.extend(std::iter::repeat_n('b', *before));
        *before += 1;
        self.shape = self.shape.and_then(|shape| after(&op, shape));
        self.layers.push(Layer { name, op });
    }

    /// What the last layer gives, if the size of the input is known.
    pub(crate) fn shape(&self) -> Option<Shape> {
        self.shape
    }

    /// Whether what the last layer gives is never below zero.
    pub(crate) fn non_negative(&self) -> bool {
        let decides = |op: &Op| match op {
            Op::Activation { function } => Some(matches!(function, Activation::Relu | Activation::Sigmoid)),
            Op::Conv { .. } | Op::Linear { .. } | Op::BatchNorm { .. } => Some(false),
            _ => None,
        };
        self.layers.iter().rev().find_map(|layer| decides(&layer.op)).unwrap_or(false)
    }

    pub(crate) fn activation(&mut self, function: Activation) {
        self.push(function.name(), Op::Activation { function });
    }

    pub(crate) fn dropout(&mut self, rate: f32) {
        self.push("drop", Op::Dropout { rate, style: DropoutStyle::ScaleInTraining });
    }

    /// A convolution and its tensors (weight, bias).
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn conv(
        &mut self,
        out: usize,
        kernel: usize,
        stride: usize,
        pad: Pad,
        groups: usize,
        rounding: Rounding,
        tensors: (usize, usize),
    ) {
        self.hold(vec![tensors.0, tensors.1], false);
        self.push("conv", Op::Conv { out, kernel, stride, pad, groups, rounding, weight_init: WEIGHT, bias_init: BIAS });
    }

    /// A linear layer and its tensors (weight, bias).
    pub(crate) fn linear(&mut self, out: usize, in_out: bool, tensors: (usize, usize)) {
        self.hold(vec![tensors.0, tensors.1], in_out);
        self.push("fc", Op::Linear { out, weight_init: WEIGHT, bias_init: BIAS });
    }

    /// A batch norm and its tensors (weight, bias, running mean, running variance).
    pub(crate) fn batch_norm(&mut self, eps: f32, momentum: f32, tensors: [usize; 4]) {
        self.parameters.push(Parameters { layer: self.layers.len(), tensors: tensors.to_vec(), in_out: false });
        self.push("bn", Op::BatchNorm { eps, momentum });
    }

    /// Notes the tensors of the convolution or linear layer that is added next.
    fn hold(&mut self, tensors: Vec<usize>, in_out: bool) {
        self.number += 1;
        self.parameters.push(Parameters { layer: self.layers.len(), tensors, in_out });
    }

    /// Whether no layer stands yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }

    /// The tensor that is the bias of the layer just added, for another to take its place. None if that layer has no bias.
    pub(crate) fn bias(&mut self) -> Option<&mut usize> {
        let last = self.parameters.last_mut().filter(|last| last.layer + 1 == self.layers.len())?;
        last.tensors.get_mut(1)
    }

    /// How many maps or features the last layer with a number of its own gives, and whether they are maps. None before the first.
    pub(crate) fn outputs(&self) -> Option<(usize, bool)> {
        self.layers.iter().rev().find_map(|layer| match layer.op {
            Op::Conv { out, .. } => Some((out, true)),
            Op::Linear { out, .. } => Some((out, false)),
            _ => None,
        })
    }

    /// Takes the size of images with which the first linear layer gets as many numbers as its weight has inputs, of those that are
    /// usual and then the smallest; none if no size does. `length` is that of a tensor.
    pub(crate) fn fit(&mut self, length: impl Fn(usize) -> Option<usize>) -> Option<usize> {
        let linear = |layer: usize| if let Op::Linear { out, .. } = self.layers[layer].op { Some(out) } else { None };
        let first = |held: &Parameters| Some((held.layer, *held.tensors.first()?, linear(held.layer)?));
        let (layer, weight, out) = self.parameters.iter().find_map(first)?;
        let wanted = length(weight)?.checked_div(out)?;
        let mut net = Net { name: String::new(), image_size: 0, layers: self.layers[..=layer].to_vec() };
        let size = [224, 227].into_iter().chain(16..=512).find(|size| {
            net.image_size = *size;
            net.shapes().is_ok_and(|shapes| shapes.last().is_some_and(|shape| shape.weight.get(1) == Some(&wanted)))
        })?;
        self.image_size = size;
        Some(size)
    }

    /// The net, checked, and its parameters.
    pub(crate) fn finish(self, name: &str) -> ParseResult<Graph> {
        const PARTS: [&str; 4] = ["weight", "bias", "running_mean", "running_var"];
        let parameters = self.parameters.iter().flat_map(|held| {
            let (layer, in_out) = (&self.layers[held.layer].name, held.in_out);
            let parts = PARTS.iter().zip(&held.tensors);
            parts.map(move |(part, tensor)| (format!("{layer}.{part}"), *tensor, in_out && *part == "weight"))
        });
        let parameters = parameters.collect();
        let net = Net { name: name.into(), image_size: self.image_size, layers: self.layers };
        net.shapes().map_err(|e| e.to_string())?;
        if net.classes() == 0 {
            return Err("its graph has no linear layer".into());
        }
        Ok(Graph { net, parameters, preprocess: None, resizes: false })
    }
}

/// What a layer makes of `shape`, or none where it does not fit.
fn after(op: &Op, shape: Shape) -> Option<Shape> {
    let channels = match *op {
        Op::Linear { out, .. } => return Some(Shape { channels: out, size: 1 }),
        Op::Conv { out, .. } => out,
        _ => shape.channels,
    };
    let mut op = op.clone();
    // The maps' size does not depend on how many there are.
    if let Op::Conv { out, groups, .. } = &mut op {
        (*out, *groups) = (1, 1);
    }
    if let Op::Lrn { columns, .. } = &mut op {
        *columns = 1;
    }
    let alone = Net { name: String::new(), image_size: shape.size, layers: vec![Layer { name: String::new(), op }] };
    Some(Shape { channels, size: alone.shapes().ok()?.last()?.output.size })
}

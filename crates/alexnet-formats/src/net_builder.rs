//! Builder of a net from another format's chain of operators.

use super::format::Graph;
use super::reader::ParseResult;
use alexnet_net::{Activation, BiasInit, DropoutStyle, Layer, Net, Op, Pad, Rounding, Shape, WeightInit};
use std::collections::HashMap;

/// The layers so far, and the tensors of their parameters.
#[derive(Debug)]
pub(crate) struct NetBuilder {
    image_size: usize,
    layers: Vec<Layer>,
    parameters: Vec<Parameters>,
    /// Number of convolutions and linear layers so far.
    number: usize,
    /// Number of layers given each name; later ones get a letter appended.
    names: HashMap<String, usize>,
    /// Output shape of the last layer; `None` where the input size is unknown or a layer does not fit.
    shape: Option<Shape>,
}

/// A layer with parameters.
#[derive(Debug)]
struct Parameters {
    layer: usize,
    /// Tensors of weight and bias, and of running mean and variance for a batch norm.
    tensors: Vec<usize>,
    /// Whether the weight is [in, out].
    in_out: bool,
}

// Weight files do not record the initialisation; a net that matches no preset uses the most common one.
const WEIGHT: WeightInit = WeightInit::UniformFanIn;
const BIAS: BiasInit = BiasInit::UniformFanIn;

impl NetBuilder {
    /// Creates a builder for images of this size; `None` if the file does not specify it ([`NetBuilder::fit`]).
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

    /// Output shape of the last layer, if the input size is known.
    pub(crate) fn shape(&self) -> Option<Shape> {
        self.shape
    }

    /// Whether the last layer's output is never negative.
    pub(crate) fn non_negative(&self) -> bool {
        let decides = |op: &Op| match op {
            Op::Activation { function } => Some(matches!(function, Activation::Relu | Activation::Sigmoid)),
            Op::Conv { .. } | Op::LocalConv { .. } | Op::Linear { .. } | Op::BatchNorm { .. } => Some(false),
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

    /// Adds a convolution and its tensors (weight, bias).
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

    /// Adds a linear layer and its tensors (weight, bias).
    pub(crate) fn linear(&mut self, out: usize, in_out: bool, tensors: (usize, usize)) {
        self.hold(vec![tensors.0, tensors.1], in_out);
        self.push("fc", Op::Linear { out, weight_init: WEIGHT, bias_init: BIAS });
    }

    /// Adds a batch norm and its tensors (weight, bias, running mean, running variance).
    pub(crate) fn batch_norm(&mut self, eps: f32, momentum: f32, tensors: [usize; 4]) {
        self.parameters.push(Parameters { layer: self.layers.len(), tensors: tensors.to_vec(), in_out: false });
        self.push("bn", Op::BatchNorm { eps, momentum });
    }

    /// Records the tensors of the layer that is added next.
    fn hold(&mut self, tensors: Vec<usize>, in_out: bool) {
        self.number += 1;
        self.parameters.push(Parameters { layer: self.layers.len(), tensors, in_out });
    }

    /// Whether there are no layers yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }

    /// The bias tensor of the layer just added, for replacement; `None` if that layer has no bias.
    pub(crate) fn bias(&mut self) -> Option<&mut usize> {
        let last = self.parameters.last_mut().filter(|last| last.layer + 1 == self.layers.len())?;
        last.tensors.get_mut(1)
    }

    /// Number of maps or features from the last layer that defines it, and whether they are maps; `None` before the first.
    pub(crate) fn outputs(&self) -> Option<(usize, bool)> {
        self.layers.iter().rev().find_map(|layer| match layer.op {
            Op::Conv { out, .. } | Op::LocalConv { out, .. } => Some((out, true)),
            Op::Linear { out, .. } => Some((out, false)),
            _ => None,
        })
    }

    /// Chooses an image size at which the first linear layer gets as many values as its weight has inputs: a usual one if
    /// possible, then the smallest. Returns `None` if no size fits. `length` is that of a tensor.
    pub(crate) fn fit(&mut self, length: impl Fn(usize) -> Option<usize>) -> Option<usize> {
        let linear = |layer: usize| if let Op::Linear { out, .. } = self.layers[layer].op { Some(out) } else { None };
        let first = |held: &Parameters| Some((held.layer, *held.tensors.first()?, linear(held.layer)?));
        let (layer, weight, out) = self.parameters.iter().find_map(first)?;
        let expected = length(weight)?.checked_div(out)?;
        let mut net = Net { name: String::new(), image_size: 0, layers: self.layers[..=layer].to_vec() };
        let size = [224, 227].into_iter().chain(16..=512).find(|size| {
            net.image_size = *size;
            net.shapes().is_ok_and(|shapes| shapes.last().is_some_and(|shape| shape.weight.get(1) == Some(&expected)))
        })?;
        self.image_size = size;
        Some(size)
    }

    /// Validates and returns the net and its parameters.
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

/// Output shape of a layer; `None` where it does not fit.
fn after(op: &Op, shape: Shape) -> Option<Shape> {
    let channels = match *op {
        Op::Linear { out, .. } => return Some(Shape { channels: out, size: 1 }),
        Op::Conv { out, .. } | Op::LocalConv { out, .. } => out,
        _ => shape.channels,
    };
    let mut op = op.clone();
    // The size of the maps does not depend on their number.
    if let Op::Conv { out, groups, .. } = &mut op {
        (*out, *groups) = (1, 1);
    }
    if let Op::Lrn { columns, .. } = &mut op {
        *columns = 1;
    }
    let alone = Net { name: String::new(), image_size: shape.size, layers: vec![Layer { name: String::new(), op }] };
    Some(Shape { channels, size: alone.shapes().ok()?.last()?.output.size })
}

//! A net built layer by layer out of another format's chain of operators.

use super::contents::Graph;
use super::source::Told;
use crate::net::{Activation, BiasInit, DropoutStyle, Layer, Net, Op, Pad, Rounding, WeightInit};

/// Layers so far, and the tensors that are their parameters.
#[derive(Debug)]
pub(crate) struct Chain {
    image_size: usize,
    layers: Vec<Layer>,
    /// For each layer with weights: its number, tensors of weight and bias, and whether the weight is [in, out].
    parameters: Vec<(usize, usize, usize, bool)>,
}

// Files of weights do not say how training began; a net that is no preset begins, if it is ever trained anew, as most do.
const WEIGHT: WeightInit = WeightInit::UniformFanIn;
const BIAS: BiasInit = BiasInit::UniformFanIn;

impl Chain {
    pub(crate) fn new(image_size: usize) -> Self {
        Chain { image_size, layers: Vec::new(), parameters: Vec::new() }
    }

    /// Adds a layer named after its kind and the number of layers with weights so far.
    pub(crate) fn push(&mut self, kind: &str, op: Op) {
        let mut name = format!("{kind}{}", self.parameters.len());
        while self.layers.iter().any(|layer| layer.name == name) {
            name.push('b');
        }
        self.layers.push(Layer { name, op });
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
        self.parameters.push((self.layers.len(), tensors.0, tensors.1, false));
        self.push("conv", Op::Conv { out, kernel, stride, pad, groups, rounding, weight_init: WEIGHT, bias_init: BIAS });
    }

    /// A linear layer and its tensors (weight, bias).
    pub(crate) fn linear(&mut self, out: usize, in_out: bool, tensors: (usize, usize)) {
        self.parameters.push((self.layers.len(), tensors.0, tensors.1, in_out));
        self.push("fc", Op::Linear { out, weight_init: WEIGHT, bias_init: BIAS });
    }

    /// Whether no layer stands yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }

    /// The tensor that is the bias of the layer just added, for another to take its place; the number of its outputs; and whether
    /// these are maps. None if that layer has no bias.
    pub(crate) fn bias(&mut self) -> Option<(&mut usize, usize, bool)> {
        let last = self.parameters.last_mut().filter(|last| last.0 + 1 == self.layers.len())?;
        let (out, maps) = match self.layers.last()?.op {
            Op::Conv { out, .. } => (out, true),
            Op::Linear { out, .. } => (out, false),
            _ => return None,
        };
        Some((&mut last.2, out, maps))
    }

    /// Takes the size of pictures with which the first linear layer gets as many numbers as its weight has inputs, of those that are
    /// usual and then the smallest; none if no size does. `length` is that of a tensor.
    pub(crate) fn fit(&mut self, length: impl Fn(usize) -> Option<usize>) -> Option<usize> {
        let linear = |layer: usize| if let Op::Linear { out, .. } = self.layers[layer].op { Some(out) } else { None };
        let (layer, weight, out) =
            self.parameters.iter().find_map(|&(layer, weight, ..)| Some((layer, weight, linear(layer)?)))?;
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
    pub(crate) fn finish(self, name: &str) -> Told<Graph> {
        let parameters = self.parameters.iter().flat_map(|&(layer, weight, bias, in_out)| {
            let layer = &self.layers[layer].name;
            [(format!("{layer}.weight"), weight, in_out), (format!("{layer}.bias"), bias, false)]
        });
        let parameters = parameters.collect();
        let net = Net { name: name.into(), image_size: self.image_size, layers: self.layers };
        net.shapes().map_err(|e| e.to_string())?;
        if net.classes() == 0 {
            return Err("its graph has no linear layer".into());
        }
        Ok(Graph { net, parameters, preprocess: None })
    }
}

//! Shard of a linear layer: the outputs that one rank computes when ranks share its weights.

use alexnet_kernels::bias;
use alexnet_kernels::context::Context;
use alexnet_kernels::feature_map::FeatureMap;
use alexnet_kernels::linear;
use alexnet_kernels::optim;
use alexnet_kernels::weight_layout::Filters;

use super::parameters::{self, Parameter};
use crate::Result;
use crate::engine::OptimizerStep;
use std::ops::Range;

/// Rows of a layer's weights `[out, in]` and their biases; may be empty.
pub(crate) struct LinearShard {
    /// Empty if the shard has no rows, because kernels do not support empty layers.
    parameter: Vec<Parameter>,
    inputs: usize,
    /// The rows of this shard.
    pub(crate) rows: Range<usize>,
}

impl LinearShard {
    /// Zero-initialised `rows` of a layer on a map of `size` rows and columns and `channels` channels.
    pub(crate) fn new(layer: &str, rows: Range<usize>, size: usize, channels: usize) -> LinearShard {
        let filters = Filters::linear_on_map(rows.len(), size, size, channels);
        let parameter = if rows.is_empty() { Vec::new() } else { vec![Parameter::of(layer, filters)] };
        LinearShard { parameter, inputs: size * size * channels, rows }
    }

    fn shape(&self, n: usize) -> linear::Shape {
        linear::Shape { n, inputs: self.inputs, outputs: self.rows.len() }
    }

    /// Outputs `[n, rows]` for `x` `[n, inputs]`, channels last, with a ReLU if `relu`.
    pub(crate) fn forward(&mut self, context: &Context<'_>, n: usize, x: &[f32], relu: bool) -> Vec<f32> {
        let mut y = vec![0.0; n * self.rows.len()];
        let shape = self.shape(n);
        if let Some(parameter) = self.parameter.first_mut().filter(|_| n > 0) {
            parameter.pack(context);
            linear::forward(context, &shape, x, &parameter.weights, &parameter.biases, relu, &mut y);
        }
        y
    }

    /// Updates the parameters and returns this shard's contribution to the gradient of `x`, `[n, inputs]`. `dy` is
    /// the gradient of the outputs, `[n, rows]`.
    pub(crate) fn backward(&mut self, context: &Context<'_>, n: usize, x: &[f32], dy: &[f32], step: &OptimizerStep) -> Vec<f32> {
        let mut dx = vec![0.0; n * self.inputs];
        let shape = self.shape(n);
        let Some(parameter) = self.parameter.first_mut().filter(|_| n > 0) else { return dx };
        linear::backward_data(context, &shape, dy, &parameter.weights, None, &mut dx);
        if step.is_frozen(&parameter.name) {
            return dx;
        }
        parameter.ready_to_train(&step.optimizer);
        if let Some(step) = step.of_biases(&parameter.name) {
            let mut db = vec![0.0; shape.outputs];
            bias::gradient(context, FeatureMap::plain(n, 1, 1, shape.outputs), dy, &mut db);
            let (biases, state) = parameter.biases_with_state();
            optim::update(context, &step, biases, state, &db);
        }
        if let Some(step) = step.of_weights(&parameter.name) {
            let (weights, state) = parameter.weights_with_state();
            linear::backward_weights_update(context, &shape, x, dy, &step, weights, state);
        }
        dx
    }

    /// Reads these rows of a layer parameter, or of a slot of its optimizer state.
    pub(crate) fn read(&self, name: &str, slot: Option<&str>) -> Result<Vec<f32>> {
        match slot {
            _ if self.rows.is_empty() => Ok(Vec::new()),
            Some(slot) => parameters::read_state(&self.parameter, name, slot),
            None => parameters::read(&self.parameter, name),
        }
    }

    /// Writes these rows from the whole parameter, or from a slot of its optimizer state.
    pub(crate) fn write(&mut self, name: &str, slot: Option<&str>, whole: &[f32]) -> Result<()> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let row = if name.ends_with(".bias") { 1 } else { self.inputs };
        let own = &whole[self.rows.start * row..self.rows.end * row];
        match slot {
            Some(slot) => parameters::write_state(&mut self.parameter, name, slot, own),
            None => parameters::write(&mut self.parameter, name, own),
        }
    }
}

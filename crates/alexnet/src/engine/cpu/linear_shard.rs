//! Some outputs of a linear layer: what one rank holds of it where ranks share its weights.

use alexnet_kernels::bias;
use alexnet_kernels::context::Context;
use alexnet_kernels::feature_map::FeatureMap;
use alexnet_kernels::linear;
use alexnet_kernels::optim::sgd;
use alexnet_kernels::weight_layout::Filters;

use super::parameters::{self, Parameter};
use crate::Result;
use crate::engine::Update;
use std::ops::Range;

/// Rows of a layer's weights `[out, in]` and their biases; there may be none.
pub(crate) struct LinearShard {
    /// One parameter, or none where there are no rows: kernels know no empty layers.
    parameter: Vec<Parameter>,
    inputs: usize,
    /// Which rows.
    pub(crate) rows: Range<usize>,
}

impl LinearShard {
    /// `rows` of a layer on a map of `size` rows and columns and `channels` channels; all zeros.
    pub(crate) fn new(layer: &str, rows: Range<usize>, size: usize, channels: usize) -> LinearShard {
        let filters = Filters::linear_on_map(rows.len(), size, size, channels);
        let parameter = if rows.is_empty() { Vec::new() } else { vec![Parameter::of(layer, filters)] };
        LinearShard { parameter, inputs: size * size * channels, rows }
    }

    fn shape(&self, n: usize) -> linear::Shape {
        linear::Shape { n, inputs: self.inputs, outputs: self.rows.len() }
    }

    /// These outputs for `x` `[n, inputs]`, channels last, clipped at zero where `relu`: `[n, rows]`.
    pub(crate) fn forward(&mut self, context: &Context<'_>, n: usize, x: &[f32], relu: bool) -> Vec<f32> {
        let mut y = vec![0.0; n * self.rows.len()];
        let shape = self.shape(n);
        if let Some(parameter) = self.parameter.first_mut().filter(|_| n > 0) {
            parameter.pack(context);
            linear::forward(context, &shape, x, &parameter.weights, &parameter.biases, relu, &mut y);
        }
        y
    }

    /// What these outputs, whose gradient is `dy` `[n, rows]`, add to the gradient of `x`: `[n, inputs]`. Then they learn.
    pub(crate) fn backward(&mut self, context: &Context<'_>, n: usize, x: &[f32], dy: &[f32], rule: &Update) -> Vec<f32> {
        let mut dx = vec![0.0; n * self.inputs];
        let shape = self.shape(n);
        let Some(parameter) = self.parameter.first_mut().filter(|_| n > 0) else { return dx };
        linear::backward_data(context, &shape, dy, &parameter.weights, None, &mut dx);
        if rule.is_frozen(&parameter.name) {
            return dx;
        }
        parameter.ready_to_train();
        if let Some(rule) = rule.biases_rule(&parameter.name) {
            let mut db = vec![0.0; shape.outputs];
            bias::gradient(context, FeatureMap::plain(n, 1, 1, shape.outputs), dy, &mut db);
            sgd::sgd(context, &rule, &mut parameter.biases, &mut parameter.biases_velocity, &db);
        }
        if let Some(rule) = rule.weights_rule(&parameter.name) {
            let Parameter { weights, weights_velocity, .. } = parameter;
            linear::backward_weights_update(context, &shape, x, dy, &rule, weights, weights_velocity);
        }
        dx
    }

    /// Reads these rows of a parameter of the layer, or of its velocity.
    pub(crate) fn read(&self, name: &str, velocity: bool) -> Result<Vec<f32>> {
        let read = if velocity { parameters::read_velocity } else { parameters::read };
        if self.rows.is_empty() { Ok(Vec::new()) } else { read(&self.parameter, name) }
    }

    /// Writes these rows of the whole parameter, or of its velocity.
    pub(crate) fn write(&mut self, name: &str, whole: &[f32], velocity: bool) -> Result<()> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let row = if name.ends_with(".bias") { 1 } else { self.inputs };
        let own = &whole[self.rows.start * row..self.rows.end * row];
        let write = if velocity { parameters::write_velocity } else { parameters::write };
        write(&mut self.parameter, name, own)
    }
}

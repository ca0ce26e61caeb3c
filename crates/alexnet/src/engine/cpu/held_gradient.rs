//! Gradients that are held until a step is complete, packed as the weights are.

use alexnet_kernels::buffer::Buffer;
use alexnet_kernels::context::Context;
use alexnet_kernels::optim;

use super::Cpu;
use super::gradient_sink::{GradientBuffer, GradientSink};
use super::parameters::Parameter;
use super::program::Purpose;
use crate::Result;
use crate::engine::accumulation::clip_factor;
use crate::engine::{BatchShard, GradientAccumulation, OptimizerStep, StepStats};

/// The gradient of one layer's parameters, summed over the batches of a step.
#[derive(Default)]
pub(super) struct HeldGradient {
    weights: Buffer,
    biases: Vec<f32>,
    /// Whether the values belong to the current step; buffers are kept between steps.
    has_weights: bool,
    has_biases: bool,
}

impl HeldGradient {
    /// Adds a gradient of the weights.
    pub(super) fn add_weights(&mut self, context: &Context<'_>, gradient: &[f32]) {
        if self.has_weights {
            optim::add(context, &mut self.weights, gradient);
        } else {
            self.fresh_weights(gradient.len()).copy_from_slice(gradient);
        }
    }

    /// Adds a gradient of the biases.
    pub(super) fn add_biases(&mut self, gradient: &[f32]) {
        if self.has_biases {
            self.biases.iter_mut().zip(gradient).for_each(|(sum, gradient)| *sum += gradient);
        } else {
            self.biases.clear();
            self.biases.extend_from_slice(gradient);
            self.has_biases = true;
        }
    }

    /// Room for the first gradient of a step, to be overwritten.
    fn fresh_weights(&mut self, len: usize) -> &mut [f32] {
        if self.weights.len() != len {
            self.weights = Buffer::zeros(len);
        }
        self.has_weights = true;
        &mut self.weights
    }

    /// The square of the norm.
    fn squares(&self, context: &Context<'_>) -> f64 {
        let of = |has, values: &[f32]| if has { optim::norm(context, values).powi(2) } else { 0.0 };
        of(self.has_weights, &self.weights) + of(self.has_biases, &self.biases)
    }

    fn forget(&mut self) {
        (self.has_weights, self.has_biases) = (false, false);
    }
}

/// Adds to a layer's held gradient of the weights the one that `gradient` writes in packed layout.
pub(super) fn hold_weights(
    context: &Context<'_>,
    parameter: &mut Parameter,
    room: &mut GradientBuffer,
    step: &OptimizerStep,
    gradient: impl FnOnce(&mut [f32]),
) {
    if step.is_frozen(&parameter.name) {
        return;
    }
    let len = parameter.filters.packed_len();
    if parameter.held.has_weights {
        let dw = room.weights(len);
        gradient(dw);
        parameter.held.add_weights(context, dw);
    } else {
        gradient(parameter.held.fresh_weights(len));
    }
}

impl GradientAccumulation for Cpu {
    fn accumulate(&mut self, shard: &BatchShard<'_>, step: &OptimizerStep, weight: f32) -> Result<StepStats> {
        self.learn(Purpose::Train, None, &shard.batch(), GradientSink::Hold(step, weight))
    }

    fn apply_accumulated(&mut self, step: &OptimizerStep, scale: f32, clip_norm: Option<f64>) -> Result<Option<f64>> {
        self.bytes = None;
        let pool = self.pool.clone();
        let context = self.context(&pool);
        let squares = |parameters: &[Parameter]| parameters.iter().map(|parameter| parameter.held.squares(&context)).sum::<f64>();
        let norm = clip_norm.map(|_| squares(&self.parameters).sqrt() * f64::from(scale));
        let factor = clip_norm.zip(norm).map_or(1.0, |(clip_norm, norm)| clip_factor(norm, clip_norm));
        let scale = (f64::from(scale) * factor) as f32;
        for parameter in &mut self.parameters {
            if norm.is_none_or(f64::is_finite) && !step.is_frozen(&parameter.name) {
                apply(&context, parameter, step, scale);
            }
            parameter.held.forget();
        }
        Ok(norm)
    }
}

/// Updates a layer by `scale` times its held gradient.
fn apply(context: &Context<'_>, parameter: &mut Parameter, step: &OptimizerStep, scale: f32) {
    let held = std::mem::take(&mut parameter.held);
    if held.has_weights {
        parameter.ready_to_train(&step.optimizer);
        if let Some(step) = step.of_gradient(context, parameter, &held.weights, scale) {
            // Of a batch norm, one weight per channel.
            let len = held.weights.len();
            let (weights, state) = parameter.weights_with_state();
            let state = state.into_iter().map(|slot| &mut slot[..len]).collect();
            optim::update_scaled(context, &step, &mut weights[..len], state, &held.weights, scale);
        }
    }
    if held.has_biases
        && let Some(step) = step.of_biases(&parameter.name)
    {
        let (biases, state) = parameter.biases_with_state();
        optim::update_scaled(context, &step, biases, state, &held.biases, scale);
    }
    parameter.held = held;
}

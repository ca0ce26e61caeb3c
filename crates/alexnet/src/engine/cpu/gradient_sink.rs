//! Gradient sink: update parameters immediately, or pass gradients to a visitor.

use alexnet_kernels::batch_norm;
use alexnet_kernels::buffer::Buffer;
use alexnet_kernels::context::Context;
use alexnet_kernels::feature_map::FeatureMap;
use alexnet_kernels::optim::{self, Rates};

use super::parameters::{self, Parameter, Part};
use super::program::Found;
use crate::Result;
use crate::engine::OptimizerStep;

/// Destination of the parameters' gradients.
pub(super) enum GradientSink<'a> {
    /// Update the parameters immediately; gradients are not kept.
    Update(&'a OptimizerStep),
    /// Add the gradients to those that the parameters hold; the gradient of the loss was multiplied by this weight.
    Hold(&'a OptimizerStep, f32),
    /// Pass each gradient to a visitor, by name and in canonical order.
    Visit(&'a mut (dyn FnMut(&str, &[f32]) + Send)),
    /// Discard the gradients.
    Nothing,
}

impl GradientSink<'_> {
    /// The step that freezes some layers, if any.
    pub(super) fn step(&self) -> Option<&OptimizerStep> {
        match self {
            GradientSink::Update(step) | GradientSink::Hold(step, _) => Some(step),
            GradientSink::Visit(_) | GradientSink::Nothing => None,
        }
    }
}

/// Scratch buffers for one layer's gradients, reused between steps.
#[derive(Default)]
pub(super) struct GradientBuffer {
    weights: Buffer,
    canonical: Vec<f32>,
    biases: Vec<f32>,
}

impl GradientBuffer {
    pub(super) fn weights(&mut self, len: usize) -> &mut [f32] {
        if self.weights.len() < len {
            self.weights = Buffer::zeros(len);
        }
        &mut self.weights[..len]
    }

    fn biases(&mut self, len: usize) -> &mut [f32] {
        if self.biases.len() < len {
            self.biases.resize(len, 0.0);
        }
        &mut self.biases[..len]
    }
}

impl OptimizerStep {
    /// Optimizer step of a layer's weights without norms; `None` if the layer is frozen.
    pub(super) fn of_weights(&self, layer: &str) -> Option<optim::Step> {
        self.weight_rates(layer).map(|rates| self.at(rates))
    }

    /// Optimizer step of a layer's weights, given their full gradient in the same packed layout, still to be multiplied by
    /// `scale`; `None` if the layer is frozen.
    pub(super) fn of_gradient(
        &self,
        context: &Context<'_>,
        parameter: &Parameter,
        gradient: &[f32],
        scale: f32,
    ) -> Option<optim::Step> {
        if parameter.is_norm() {
            return self.of_biases(&parameter.name);
        }
        let rates = self.weight_rates(&parameter.name)?;
        Some(self.at(match self.optimizer.lars_trust() {
            Some(trust) => {
                let gradient = optim::norm(context, gradient) * f64::from(scale);
                rates.with_lars(trust, optim::norm(context, &parameter.weights), gradient)
            }
            None => rates,
        }))
    }

    /// Optimizer step of a layer's biases; `None` if the layer is frozen.
    pub(super) fn of_biases(&self, layer: &str) -> Option<optim::Step> {
        self.bias_rates(layer).map(|rates| self.at(rates))
    }

    fn at(&self, rates: Rates) -> optim::Step {
        optim::Step { optimizer: self.optimizer, rates, number: self.number }
    }
}

/// Passes on a batch norm's gradients and batch statistics.
pub(super) fn learn_norm(
    context: &Context<'_>,
    parameter: &mut Parameter,
    found: &Found,
    map: FeatureMap,
    learn: &mut GradientSink<'_>,
) {
    let away = |which: usize| -> Vec<f32> {
        let running = parameter.running_of(which).iter();
        match which {
            0 => running.zip(&found.mean).map(|(running, mean)| running - mean).collect(),
            _ => running.zip(&found.variance).map(|(running, &v)| running - batch_norm::unbiased(map, v)).collect(),
        }
    };
    match learn {
        GradientSink::Nothing => {}
        GradientSink::Visit(visit) => {
            // In reverse parameter order, as for all layers.
            visit(&format!("{}.running_var", parameter.name), &away(1));
            visit(&format!("{}.running_mean", parameter.name), &away(0));
            visit(&format!("{}.bias", parameter.name), &found.bias);
            visit(&format!("{}.weight", parameter.name), &found.weight);
        }
        GradientSink::Update(step) | GradientSink::Hold(step, _) => {
            let Some(step) = step.of_biases(&parameter.name) else { return };
            for (which, away) in [away(0), away(1)].into_iter().enumerate() {
                parameter.follow(which, &away);
            }
            if matches!(learn, GradientSink::Hold(..)) {
                parameter.held.add_weights(context, &found.weight);
                parameter.held.add_biases(&found.bias);
                return;
            }
            // One weight per channel; the packed panels are contiguous.
            let channels = parameter.filters.k;
            let (weights, state) = parameter.weights_with_state();
            let state = state.into_iter().map(|slot| &mut slot[..channels]).collect();
            optim::update(context, &step, &mut weights[..channels], state, &found.weight);
            let (biases, state) = parameter.biases_with_state();
            optim::update(context, &step, biases, state, &found.bias);
        }
    }
}

/// Updates a layer's weights from their full gradient, which `gradient` writes in packed layout.
pub(super) fn learn_weights(
    context: &Context<'_>,
    parameter: &mut Parameter,
    room: &mut GradientBuffer,
    step: &OptimizerStep,
    gradient: impl FnOnce(&mut [f32]),
) {
    if step.is_frozen(&parameter.name) {
        return;
    }
    let dw = room.weights(parameter.filters.packed_len());
    gradient(dw);
    let Some(step) = step.of_gradient(context, parameter, dw, 1.0) else { return };
    let (weights, state) = parameter.weights_with_state();
    optim::update(context, &step, weights, state, dw);
}

/// Computes the gradient of a layer's biases, which `gradient` writes, and passes it on.
pub(super) fn learn_biases(
    context: &Context<'_>,
    parameter: &mut Parameter,
    room: &mut GradientBuffer,
    gradient: impl FnOnce(&mut [f32]),
    learn: &mut GradientSink<'_>,
) {
    let step = match learn {
        GradientSink::Nothing => return,
        GradientSink::Visit(_) => None,
        GradientSink::Update(step) | GradientSink::Hold(step, _) => match step.of_biases(&parameter.name) {
            None => return,
            step => step,
        },
    };
    let db = room.biases(parameter.filters.k);
    gradient(db);
    match (learn, step) {
        (GradientSink::Visit(visit), _) => visit(&format!("{}.bias", parameter.name), db),
        (GradientSink::Hold(..), _) => parameter.held.add_biases(db),
        (_, Some(step)) => {
            let (biases, state) = parameter.biases_with_state();
            optim::update(context, &step, biases, state, db);
        }
        (_, None) => {}
    }
}

/// Computes the gradient of a layer's weights and visits it in canonical order.
pub(super) fn visit_weights(
    context: &Context<'_>,
    parameter: &Parameter,
    room: &mut GradientBuffer,
    gradient: impl FnOnce(&mut [f32]),
    visit: &mut (dyn FnMut(&str, &[f32]) + Send),
) {
    let len = parameter.filters.packed_len();
    gradient(room.weights(len));
    let dw = &room.weights[..len];
    let len = parameter.filters.len();
    room.canonical.resize(room.canonical.len().max(len), 0.0);
    let canonical = &mut room.canonical[..len];
    parameter.filters.unpack(context.threads, dw, canonical);
    visit(&format!("{}.weight", parameter.name), canonical);
}

/// Updates a parameter from a gradient in canonical order.
pub(super) fn apply(
    context: &Context<'_>,
    parameters: &mut [Parameter],
    room: &mut GradientBuffer,
    name: &str,
    gradient: &[f32],
    step: &OptimizerStep,
) -> Result<()> {
    let (i, part) = parameters::find(parameters, name)?;
    let parameter = &mut parameters[i];
    let filters = parameter.filters;
    parameters::check(name, gradient, if part == Part::Weight { filters.len() } else { filters.k })?;
    if step.is_frozen(&parameter.name) {
        return Ok(());
    }
    parameter.pack(context);
    parameter.ready_to_train(&step.optimizer);
    match part {
        Part::Weight => {
            let pack = |packed: &mut [f32]| filters.pack(context.threads, gradient, packed);
            learn_weights(context, parameter, room, step, pack);
        }
        Part::Bias => {
            let Some(step) = step.of_biases(&parameter.name) else { return Ok(()) };
            let (biases, state) = parameter.biases_with_state();
            optim::update(context, &step, biases, state, gradient);
        }
        Part::Running(which) => parameter.follow(which, gradient),
    }
    Ok(())
}

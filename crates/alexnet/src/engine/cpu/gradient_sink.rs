//! What becomes of gradients: they move parameters at once, or are shown to someone.

use alexnet_kernels::batch_norm;
use alexnet_kernels::bias;
use alexnet_kernels::buffer::Buffer;
use alexnet_kernels::context::Context;
use alexnet_kernels::feature_map::FeatureMap;
use alexnet_kernels::optim::{self, sgd};

use super::parameters::Parameter;
use super::program::Found;
use crate::engine::{MomentumForm, Rates, Update};

/// What becomes of the gradients of parameters.
pub(super) enum GradientSink<'a> {
    /// They change the parameters at once and are not kept.
    Update(&'a Update),
    /// They are shown by name in canonical order.
    Visit(&'a mut (dyn FnMut(&str, &[f32]) + Send)),
    /// Nobody wants them.
    Nothing,
}

/// Room for one layer's gradients, kept from step to step.
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

impl Update {
    /// The kernels' rule for a layer's weights where no norms are looked at; none where it is frozen.
    pub(super) fn weights_rule(&self, layer: &str) -> Option<sgd::Rule> {
        self.weight_rates(layer).map(|rates| self.rule(rates))
    }

    /// The kernels' rule for a layer's weights and their whole gradient, packed alike; none where it is frozen.
    pub(super) fn rule_for(&self, context: &Context<'_>, parameter: &Parameter, gradient: &[f32]) -> Option<sgd::Rule> {
        if parameter.is_norm() {
            return self.biases_rule(&parameter.name);
        }
        let rates = self.weight_rates(&parameter.name)?;
        Some(self.rule(match self.lars_trust {
            Some(lars_trust) => rates.local(lars_trust, optim::norm(context, &parameter.weights), optim::norm(context, gradient)),
            None => rates,
        }))
    }

    /// The kernels' rule for a layer's biases; none where it is frozen.
    pub(super) fn biases_rule(&self, layer: &str) -> Option<sgd::Rule> {
        self.bias_rates(layer).map(|rates| self.rule(rates))
    }

    fn rule(&self, Rates { lr, decay }: Rates) -> sgd::Rule {
        sgd::Rule { lr, momentum: self.momentum, decay, form: self.form.into() }
    }
}

impl From<MomentumForm> for sgd::Form {
    fn from(form: MomentumForm) -> Self {
        match form {
            MomentumForm::RateInside => sgd::Form::RateInside,
            MomentumForm::RateOutside => sgd::Form::RateOutside,
        }
    }
}

/// What becomes of a batch norm's gradients and of the statistics of its batch.
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
            // The last of its parameters first, as of all layers.
            visit(&format!("{}.running_var", parameter.name), &away(1));
            visit(&format!("{}.running_mean", parameter.name), &away(0));
            visit(&format!("{}.bias", parameter.name), &found.bias);
            visit(&format!("{}.weight", parameter.name), &found.weight);
        }
        GradientSink::Update(rule) => {
            let Some(rule) = rule.biases_rule(&parameter.name) else { return };
            for (which, away) in [away(0), away(1)].into_iter().enumerate() {
                parameter.follow(which, &away);
            }
            let Parameter { filters, weights, weights_velocity, biases, biases_velocity, .. } = parameter;
            sgd::sgd(context, &rule, &mut weights[..filters.k], &mut weights_velocity[..filters.k], &found.weight);
            sgd::sgd(context, &rule, biases, biases_velocity, &found.bias);
        }
    }
}

/// Moves a layer's weights by their whole gradient, which `gradient` writes, packed.
pub(super) fn learn_weights(
    context: &Context<'_>,
    parameter: &mut Parameter,
    room: &mut GradientBuffer,
    rule: &Update,
    gradient: impl FnOnce(&mut [f32]),
) {
    if rule.is_frozen(&parameter.name) {
        return;
    }
    let dw = room.weights(parameter.filters.packed_len());
    gradient(dw);
    let Some(rule) = rule.rule_for(context, parameter, dw) else { return };
    sgd::sgd(context, &rule, &mut parameter.weights, &mut parameter.weights_velocity, dw);
}

/// The gradient of a layer's biases, and what becomes of it.
pub(super) fn learn_biases(
    context: &Context<'_>,
    parameter: &mut Parameter,
    room: &mut GradientBuffer,
    dy_map: FeatureMap,
    dy: &[f32],
    learn: &mut GradientSink<'_>,
) {
    let rule = match learn {
        GradientSink::Nothing => return,
        GradientSink::Visit(_) => None,
        GradientSink::Update(rule) => match rule.biases_rule(&parameter.name) {
            None => return,
            rule => rule,
        },
    };
    let db = room.biases(parameter.filters.k);
    bias::gradient(context, dy_map, dy, db);
    if let Some(rule) = rule {
        sgd::sgd(context, &rule, &mut parameter.biases, &mut parameter.biases_velocity, db);
    }
    if let GradientSink::Visit(visit) = learn {
        visit(&format!("{}.bias", parameter.name), db);
    }
}

/// Computes the gradient of a layer's weights and shows it in canonical order.
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

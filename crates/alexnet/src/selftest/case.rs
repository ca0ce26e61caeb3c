//! Execution of a self-test case on an engine.

use std::collections::BTreeMap;

use super::formula::{self, seed_of};
use super::{Report, Tell};
use crate::engine::optim::MomentumForm;
use crate::engine::optim::sgd::Sgd;
use crate::engine::{Batch, Engine, Gradients, Inspection, Objective, OptimizerStep, ParameterStore};
use crate::net::{Net, Op};
use crate::{Error, Result};

/// A self-test case: net, weights and images.
#[derive(Debug, Clone)]
pub struct Case {
    /// The net, with its number of classes and image size.
    pub net: Net,
    /// Seed of weights and images.
    pub seed: u64,
    /// Number of images.
    pub batch: usize,
}

/// Tensor numbers of the probes: 900 + t for parameter t, 950 for activations.
const PARAMETER_PROBE: u64 = 900;
const ACTIVATION_PROBE: u64 = 950;
/// Learning rates of the three steps: the last one drops, which distinguishes the two momentum forms.
const RATES: [f32; 3] = [0.002, 0.002, 0.0002];
/// Large, so that a missing weight decay shows.
const DECAY: f32 = 0.05;

impl Case {
    /// The net for the engine: the reference values exclude dropout, even its scaling at inference.
    pub fn engines_net(&self) -> Net {
        let layers = self.net.layers.iter().filter(|layer| !matches!(layer.op, Op::Dropout { .. })).cloned().collect();
        Net { layers, ..self.net.clone() }
    }
}

/// Runs the case on an engine for its [`engines_net`](Case::engines_net).
///
/// # Errors
/// The engine has another net, the case has no images or classes, or an engine error.
pub fn run(case: &Case, framework: &str, engine: &mut dyn Engine) -> Result<Report> {
    let classes = case.net.classes();
    if case.batch == 0 || classes == 0 {
        return Err(Error::Invalid("the self-test needs at least one image and one class".into()));
    }
    let net = case.engines_net();
    if *engine.net() != net {
        return Err(Error::Invalid("the engine has another net than the case".into()));
    }
    formula::set_parameters(engine, case.seed)?;
    let images = formula::images(&net, case.seed, case.batch);
    let labels = formula::labels(case.batch, classes);
    let batch = Batch { images: &images, labels: &labels, dropout: None, objective: Objective::default() };
    let activations = activations(engine, case, &images)?;
    let mut logits = Vec::new();
    engine.infer(&images, &mut logits)?;
    let gradients = gradients(engine, case, &batch)?;
    let before = parameters(engine)?;
    let losses = train(engine, &batch)?;
    let after = parameters(engine)?;
    let (mut update, lost) = (BTreeMap::new(), lost_biases(&net));
    for (t, ((name, shape, new), (_, _, old))) in after.iter().zip(&before).enumerate() {
        if lost.contains(name) {
            continue;
        }
        let change: Vec<f32> = new.iter().zip(old).map(|(new, old)| new - old).collect();
        update.insert(name.clone(), Tell::new(shape, &change, seed_of(case.seed, PARAMETER_PROBE + t as u64)));
    }
    Ok(Report {
        net: net.name.clone(),
        seed: case.seed,
        batch: case.batch,
        classes,
        input_size: net.image_size,
        framework: framework.into(),
        parameters: before.iter().map(|(_, _, values)| values.len()).sum(),
        activations,
        probabilities_first: softmax(&logits[..classes]).into_iter().take(8).collect(),
        losses,
        gradients,
        update,
    })
}

/// Every reported activation.
fn activations(engine: &mut dyn Inspection, case: &Case, images: &[f32]) -> Result<BTreeMap<String, Tell>> {
    let net = engine.net().clone();
    let shapes = net.shapes()?;
    let mut tells = BTreeMap::new();
    for (i, layer) in net.layers.iter().enumerate() {
        let with_next = match layer.op {
            Op::Conv { .. } | Op::LocalConv { .. } | Op::Lrn { .. } | Op::SpatialNorm { .. } | Op::BatchNorm { .. } => false,
            Op::MaxPool { .. } | Op::AvgPool { .. } | Op::Linear { .. } => true,
            Op::Activation { .. } | Op::AdaptiveAvgPool { .. } | Op::Dropout { .. } => continue,
        };
        let next_is_activation = matches!(net.layers.get(i + 1).map(|next| &next.op), Some(Op::Activation { .. }));
        let shown = if with_next && next_is_activation { i + 1 } else { i };
        let values = engine.activation(images, &net.layers[shown].name)?;
        let output = shapes[shown].output;
        let mut shape = vec![case.batch, output.channels];
        if !matches!(layer.op, Op::Linear { .. }) {
            shape.extend([output.size, output.size]);
        }
        tells.insert(layer.name.clone(), Tell::new(&shape, &values, seed_of(case.seed, ACTIVATION_PROBE)));
    }
    Ok(tells)
}

/// Every gradient.
fn gradients(engine: &mut dyn Gradients, case: &Case, batch: &Batch<'_>) -> Result<BTreeMap<String, Tell>> {
    let (names, lost) = (parameter_names(engine.net())?, lost_biases(engine.net()));
    let mut tells = BTreeMap::new();
    engine.gradients(batch, &mut |name, values| {
        if let Some(t) = names.iter().position(|(known, _)| known == name && !lost.contains(known)) {
            let seed = seed_of(case.seed, PARAMETER_PROBE + t as u64);
            tells.insert(name.to_string(), Tell::new(&names[t].1, values, seed));
        }
    })?;
    Ok(tells)
}

/// Three steps; the loss before each.
fn train(engine: &mut dyn Gradients, batch: &Batch<'_>) -> Result<Vec<f64>> {
    let factor = if formula::has_lrn(engine.net()) { 0.25 } else { 1.0 };
    let mut losses = Vec::new();
    for lr in RATES {
        let lr = lr * factor;
        let form = MomentumForm::RateInside;
        let rule = OptimizerStep {
            optimizer: Sgd { momentum: 0.9, form, lars_trust: None, nesterov: false }.into(),
            number: 1,
            lr,
            bias_lr: lr,
            weight_decay: DECAY,
            bias_weight_decay: 0.0,
            layer_weight_decay: Default::default(),
            layers: Default::default(),
        };
        losses.push(f64::from(engine.train_step(batch, &rule)?.loss));
    }
    Ok(losses)
}

/// Biases cancelled by a batch norm, whose gradients are only rounding errors.
fn lost_biases(net: &Net) -> Vec<String> {
    let before = net.layers.windows(2).filter(|layers| matches!(layers[1].op, Op::BatchNorm { .. }));
    before.map(|layers| format!("{}.bias", layers[0].name)).collect()
}

/// Names and shapes of parameters in numbering order.
fn parameter_names(net: &Net) -> Result<Vec<(String, Vec<usize>)>> {
    let named = |shape: crate::net::LayerShape| {
        let bias = shape.bias().to_vec();
        [(format!("{}.weight", shape.name), shape.weight), (format!("{}.bias", shape.name), bias)]
    };
    Ok(formula::with_parameters(net)?.into_iter().flat_map(named).collect())
}

/// Name, shape and values.
type Named = (String, Vec<usize>, Vec<f32>);

/// All parameters.
fn parameters(engine: &dyn ParameterStore) -> Result<Vec<Named>> {
    let read = |(name, shape): (String, Vec<usize>)| {
        let values = engine.parameter(&name)?;
        Ok((name, shape, values))
    };
    parameter_names(engine.net())?.into_iter().map(read).collect()
}

fn softmax(logits: &[f32]) -> Vec<f64> {
    let largest = logits.iter().fold(f32::NEG_INFINITY, |m, &v| m.max(v));
    let powers: Vec<f64> = logits.iter().map(|&v| f64::from(v - largest).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|p| p / sum).collect()
}

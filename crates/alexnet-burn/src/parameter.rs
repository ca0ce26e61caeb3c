//! Parameters on a device, with their optimizer state and updates.

use super::number::Elements;
use alexnet::engine::OptimizerStep;
use alexnet::engine::optim::{Formula, Rates, Step, Visitor, slots};
use alexnet::{Error, Result};
use burn::tensor::{Device, Tensor, TensorData};
use std::collections::BTreeMap;
use std::ops::Range;

/// A layer's parameter, or a tower's slice of it.
pub(crate) struct Parameter {
    /// Name, such as `conv1.weight`.
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// Range of its values, in canonical order, held on this device.
    pub(crate) range: Range<usize>,
    pub(crate) value: Tensor<1>,
    /// Optimizer state by slot; a missing slot is all zeros.
    state: BTreeMap<String, Tensor<1>>,
}

/// Update rule of a parameter.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    Weights,
    /// Biases, and a batch norm's weights, which are updated like biases.
    Biases,
    /// A batch norm's running mean or variance; its "gradient" is the difference to the batch's statistics.
    Running {
        momentum: f32,
    },
}

impl Parameter {
    pub(crate) fn zeros(name: String, kind: Kind, range: Range<usize>, device: &Device) -> Parameter {
        let value = Tensor::zeros([range.len()], device);
        Parameter { name, kind, range, value, state: BTreeMap::new() }
    }

    /// Applies one step. `norms` are those of the layer's weights and of their gradient over all towers, if the
    /// optimizer needs them.
    pub(crate) fn learn(&mut self, gradient: Tensor<1>, step: &OptimizerStep, norms: Option<[f64; 2]>) {
        let layer = self.name.rsplit_once('.').map_or("", |(layer, _)| layer);
        let rates = match self.kind {
            Kind::Running { .. } if step.is_frozen(layer) => return,
            Kind::Running { momentum } => {
                self.value = self.value.clone() - gradient * momentum;
                return;
            }
            Kind::Biases => step.bias_rates(layer),
            Kind::Weights => step.weight_rates(layer),
        };
        let local = |rates: Rates| match (norms, step.optimizer.lars_trust()) {
            (Some([weights, gradient]), Some(trust)) => rates.with_lars(trust, weights, gradient),
            _ => rates,
        };
        if let Some(rates) = rates.map(local) {
            let step = Step { optimizer: step.optimizer, rates, number: step.number };
            step.visit(Move { parameter: self, gradient, names: step.optimizer.slots() });
        }
    }

    /// Reads a slot of the optimizer state.
    pub(crate) fn state(&self, slot: &str) -> Result<Vec<f32>> {
        match self.state.get(slot) {
            Some(values) => read(values.clone()),
            None => Ok(vec![0.0; self.range.len()]),
        }
    }

    /// Writes a slot of the optimizer state.
    pub(crate) fn set_state(&mut self, slot: &str, values: Tensor<1>) {
        self.state.insert(slot.into(), values);
    }
}

/// Visitor that updates a parameter with the optimizer's formula, the same as the CPU engine's, on tensors.
struct Move<'a> {
    parameter: &'a mut Parameter,
    gradient: Tensor<1>,
    names: &'static [&'static str],
}

impl Visitor for Move<'_> {
    type Output = ();

    fn visit<const SLOTS: usize, F: Formula<SLOTS>>(self, formula: F) {
        let Move { parameter, gradient, names } = self;
        let Parameter { value, state, .. } = parameter;
        let mut slot = |name: &&str| Elements(state.remove(*name).unwrap_or_else(|| value.zeros_like()));
        let old: [Elements; SLOTS] = slots(names.iter().map(&mut slot).collect());
        let (new, kept) = formula.apply(Elements(value.clone()), old, Elements(gradient));
        *value = new.0;
        state.extend(names.iter().zip(kept).map(|(name, kept)| (name.to_string(), kept.0)));
    }
}

/// A tensor that belongs to a parameter: a differentiable leaf, its gradient, or a difference to batch statistics.
pub(crate) struct Of {
    pub(crate) tower: usize,
    /// Index among the tower's parameters.
    pub(crate) parameter: usize,
    pub(crate) tensor: Tensor<1>,
}

/// Reads a tensor's values, row-major.
pub(crate) fn read<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>> {
    let data = tensor.try_into_data().map_err(|e| Error::Invalid(format!("the device failed: {e}")))?;
    data.try_into_vec().map_err(|e| Error::Invalid(format!("the device did not return floats: {e:?}")))
}

/// Sum of a tensor's squares.
pub(crate) fn squares(tensor: &Tensor<1>) -> Result<f64> {
    Ok(read((tensor.clone() * tensor.clone()).sum())?.iter().map(|&sum| f64::from(sum)).sum())
}

/// Copies values to a device.
pub(crate) fn write<const D: usize>(values: &[f32], shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), device)
}

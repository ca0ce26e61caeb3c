//! A parameter on its device, its velocity, and how both move.

use alexnet::engine::{MomentumForm, Rates, Update};
use alexnet::{Error, Result};
use burn::tensor::{Device, Tensor, TensorData};
use std::ops::Range;

/// One parameter of a layer, or a tower's outputs of it.
pub(crate) struct Parameter {
    /// Such as `conv1.weight`.
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// Which of its values in canonical order lie here.
    pub(crate) range: Range<usize>,
    pub(crate) value: Tensor<1>,
    /// None before the first step: zeros.
    pub(crate) velocity: Option<Tensor<1>>,
}

/// How a parameter moves.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    Weights,
    /// And a batch norm's weights, which learn as biases do.
    Biases,
    /// A batch norm's running mean or variance, which follows those of batches: its "gradient" is how far it is from them.
    Running {
        momentum: f32,
    },
}

impl Parameter {
    pub(crate) fn zeros(name: String, kind: Kind, range: Range<usize>, device: &Device) -> Parameter {
        let value = Tensor::zeros([range.len()], device);
        Parameter { name, kind, range, value, velocity: None }
    }

    /// One step by `rule`. `norms` are those of the layer's weights and their gradient, over all towers, where the rule asks for them.
    pub(crate) fn learn(&mut self, gradient: Tensor<1>, rule: &Update, norms: Option<[f64; 2]>) {
        let layer = self.name.rsplit_once('.').map_or("", |(layer, _)| layer);
        let rates = match self.kind {
            Kind::Running { .. } if rule.is_frozen(layer) => return,
            Kind::Running { momentum } => {
                self.value = self.value.clone() - gradient * momentum;
                return;
            }
            Kind::Biases => rule.bias_rates(layer),
            Kind::Weights => rule.weight_rates(layer),
        };
        let local = |rates: Rates| match (norms, rule.lars_trust) {
            (Some([weights, gradient]), Some(lars_trust)) => rates.local(lars_trust, weights, gradient),
            _ => rates,
        };
        if let Some(rates) = rates.map(local) {
            self.step(gradient, rates, rule.momentum, rule.form);
        }
    }

    /// One step along `gradient`. The same formulas as the CPU engine's, in the same order.
    fn step(&mut self, gradient: Tensor<1>, rates: Rates, momentum: f32, form: MomentumForm) {
        let Rates { lr, decay } = rates;
        let pull = gradient + self.value.clone() * decay;
        let kept = self.velocity.take().map(|velocity| velocity * momentum);
        let (velocity, change) = match form {
            MomentumForm::RateInside => {
                let pull = pull * -lr;
                let velocity = match kept {
                    Some(kept) => kept + pull,
                    None => pull,
                };
                (velocity.clone(), velocity)
            }
            MomentumForm::RateOutside => {
                let velocity = match kept {
                    Some(kept) => kept + pull,
                    None => pull,
                };
                (velocity.clone(), velocity * -lr)
            }
        };
        self.value = self.value.clone() + change;
        self.velocity = Some(velocity);
    }

    pub(crate) fn velocity(&self) -> Result<Vec<f32>> {
        match &self.velocity {
            Some(velocity) => read(velocity.clone()),
            None => Ok(vec![0.0; self.range.len()]),
        }
    }
}

/// A tensor that belongs to a parameter: a leaf that gradients are asked for, its gradient, or how far it is from a batch.
pub(crate) struct Of {
    pub(crate) tower: usize,
    /// Its number among the tower's parameters.
    pub(crate) parameter: usize,
    pub(crate) tensor: Tensor<1>,
}

/// A tensor's values, row-major.
pub(crate) fn read<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>> {
    let data = tensor.try_into_data().map_err(|e| Error::Invalid(format!("the device failed: {e}")))?;
    data.try_into_vec().map_err(|e| Error::Invalid(format!("the device gave no floats: {e:?}")))
}

/// The sum of a tensor's squares.
pub(crate) fn squares(tensor: &Tensor<1>) -> Result<f64> {
    Ok(read((tensor.clone() * tensor.clone()).sum())?.iter().map(|&sum| f64::from(sum)).sum())
}

/// Values on a device.
pub(crate) fn write<const D: usize>(values: &[f32], shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), device)
}

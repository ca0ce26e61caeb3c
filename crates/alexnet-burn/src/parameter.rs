//! A parameter on its device, its velocity, and how both move.

use alexnet::engine::{Rates, Update, UpdateForm};
use alexnet::{Error, Result};
use burn::tensor::{Device, Tensor, TensorData};
use std::ops::Range;

/// One parameter of a layer, or a tower's outputs of it.
pub(crate) struct Parameter {
    /// Such as `conv1.weight`.
    pub(crate) name: String,
    /// Which of its values in canonical order lie here.
    pub(crate) range: Range<usize>,
    pub(crate) value: Tensor<1>,
    /// None before the first step: zeros.
    pub(crate) velocity: Option<Tensor<1>>,
}

impl Parameter {
    pub(crate) fn zeros(name: String, range: Range<usize>, device: &Device) -> Parameter {
        let value = Tensor::zeros([range.len()], device);
        Parameter { name, range, value, velocity: None }
    }

    /// How fast it moves along `gradient`, if at all.
    pub(crate) fn rates(&self, rule: &Update, gradient: &Tensor<1>) -> Result<Option<Rates>> {
        let (rates, norm) = (rule.rates(&self.name), |tensor: &Tensor<1>| -> Result<f64> {
            let squares = read((tensor.clone() * tensor.clone()).sum())?;
            Ok(squares.iter().map(|&sum| f64::from(sum)).sum::<f64>().sqrt())
        });
        match (rates, rule.trust) {
            (Some(rates), Some(trust)) if self.name.ends_with(".weight") => {
                Ok(Some(rates.local(trust, norm(&self.value)?, norm(gradient)?)))
            }
            (rates, _) => Ok(rates),
        }
    }

    /// One step along `gradient`. The same formulas as the CPU engine's, in the same order.
    pub(crate) fn step(&mut self, gradient: Tensor<1>, rates: Rates, momentum: f32, form: UpdateForm) {
        let Rates { lr, decay } = rates;
        let pull = gradient + self.value.clone() * decay;
        let kept = self.velocity.take().map(|velocity| velocity * momentum);
        let (velocity, change) = match form {
            UpdateForm::RateInside => {
                let pull = pull * -lr;
                let velocity = match kept {
                    Some(kept) => kept + pull,
                    None => pull,
                };
                (velocity.clone(), velocity)
            }
            UpdateForm::RateOutside => {
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

/// A tensor that belongs to a parameter: a leaf that gradients are asked for, or its gradient.
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

/// Values on a device.
pub(crate) fn write<const D: usize>(values: &[f32], shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), device)
}

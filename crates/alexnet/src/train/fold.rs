//! Batch normalisation that a recipe added, folded into the weights of the saved model.
//!
//! A net trained with `batch_norm = true` has a normalisation between each hidden convolution or linear layer and its
//! activation. At inference both are linear, so that one layer with other weights and biases computes the same, up to rounding:
//! see [`Net::without_batch_norm`](crate::net::Net::without_batch_norm).

use crate::engine::ParameterStore;
use crate::net::Folded;
use crate::{Error, Result};

/// The normalisation folded into the layer of parameter `name`.
pub(super) fn of_parameter<'a>(folded: &'a [Folded], name: &str) -> Option<&'a Folded> {
    let (layer, _) = name.rsplit_once('.')?;
    folded.iter().find(|folded| folded.layer == layer)
}

/// Values of a weight or bias of `engine` with the normalisation after it folded in.
///
/// # Errors
/// A parameter that is not finite.
pub(super) fn parameter(engine: &dyn ParameterStore, name: &str, folded: &Folded) -> Result<Vec<f32>> {
    let mut values = engine.parameter(name)?;
    let of_norm = |part: &str| engine.parameter(&format!("{}.{part}", folded.norm));
    let (gamma, variance) = (of_norm("weight")?, of_norm("running_var")?);
    let scale = |k: usize| f64::from(gamma[k]) / (f64::from(variance[k]) + f64::from(folded.eps)).sqrt();
    if name.ends_with(".bias") {
        let (mean, beta) = (of_norm("running_mean")?, of_norm("bias")?);
        for (k, value) in values.iter_mut().enumerate() {
            *value = ((f64::from(*value) - f64::from(mean[k])) * scale(k) + f64::from(beta[k])) as f32;
        }
    } else {
        let row = values.len() / gamma.len().max(1);
        for (k, row) in values.chunks_exact_mut(row.max(1)).enumerate() {
            let scale = scale(k);
            row.iter_mut().for_each(|value| *value = (f64::from(*value) * scale) as f32);
        }
    }
    if values.iter().all(|value| value.is_finite()) {
        Ok(values)
    } else {
        Err(Error::Invalid(format!("{name} is no longer finite and was not saved; {}", super::state::DIVERGED)))
    }
}

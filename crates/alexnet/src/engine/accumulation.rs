//! Gradients that are held until a step is complete: for accumulation over batches, and for clipping by their global norm.

use std::collections::BTreeMap;

use super::{Batch, BatchShard, Gradients, OptimizerStep, StepStats};
use crate::Result;

/// Engine that can hold the gradients of a step instead of updating parameters as backward produces them.
pub trait GradientAccumulation {
    /// Forward and backward on a batch, as [`Training::train_shard`](super::Training::train_shard); adds `weight` times its
    /// gradients to those held. Running statistics of batch normalisation follow each batch at once, as in PyTorch.
    ///
    /// # Errors
    /// Those of [`Training::train_shard`](super::Training::train_shard).
    fn accumulate(&mut self, shard: &BatchShard<'_>, step: &OptimizerStep, weight: f32) -> Result<StepStats>;

    /// Updates parameters by `scale` times the held gradients, clipped to a global norm of `clip_norm`, and forgets them.
    /// Returns the norm before clipping, if there is a limit. If it is not finite, parameters stay as they are.
    ///
    /// # Errors
    /// Another rank that failed.
    fn apply_accumulated(&mut self, step: &OptimizerStep, scale: f32, clip_norm: Option<f64>) -> Result<Option<f64>>;
}

/// Factor by which gradients of a global norm are multiplied, as in `torch.nn.utils.clip_grad_norm_`.
pub fn clip_factor(norm: f64, clip_norm: f64) -> f64 {
    (clip_norm / (norm + 1e-6)).min(1.0)
}

/// Gradients held in canonical order, for engines that give theirs to a visitor.
#[derive(Debug, Default)]
pub struct HeldGradients {
    /// By parameter name. Buffers are kept between steps.
    sums: BTreeMap<String, Sum>,
}

#[derive(Debug, Default)]
struct Sum {
    values: Vec<f32>,
    /// Whether the values belong to the current step.
    held: bool,
}

impl HeldGradients {
    /// Adds `weight` times a gradient.
    pub fn add(&mut self, name: &str, gradient: &[f32], weight: f32) {
        if !self.sums.contains_key(name) {
            self.sums.insert(name.to_string(), Sum::default());
        }
        let Some(sum) = self.sums.get_mut(name) else { return };
        if sum.held {
            sum.values.iter_mut().zip(gradient).for_each(|(sum, gradient)| *sum += gradient * weight);
        } else {
            sum.values.clear();
            sum.values.extend(gradient.iter().map(|gradient| gradient * weight));
            sum.held = true;
        }
    }

    /// [`GradientAccumulation::accumulate`] on an engine's own gradients.
    ///
    /// # Errors
    /// Those of [`Gradients::gradients`].
    pub fn accumulate(
        &mut self,
        engine: &mut dyn Gradients,
        batch: &Batch<'_>,
        step: &OptimizerStep,
        weight: f32,
    ) -> Result<StepStats> {
        let mut running = Vec::new();
        let stats = engine.gradients(batch, &mut |name, gradient| {
            if step.rates(name).is_none() {
            } else if is_running(name) {
                running.push((name.to_string(), gradient.to_vec()));
            } else {
                self.add(name, gradient, weight);
            }
        })?;
        running.iter().try_for_each(|(name, away)| engine.apply(name, away, step))?;
        Ok(stats)
    }

    /// [`GradientAccumulation::apply_accumulated`].
    ///
    /// # Errors
    /// Those of [`Gradients::apply`].
    pub fn apply(
        &mut self,
        engine: &mut dyn Gradients,
        step: &OptimizerStep,
        scale: f32,
        clip_norm: Option<f64>,
    ) -> Result<Option<f64>> {
        let norm = clip_norm.map(|_| self.norm() * f64::from(scale));
        let factor = clip_norm.zip(norm).map_or(1.0, |(clip_norm, norm)| clip_factor(norm, clip_norm));
        let scale = (f64::from(scale) * factor) as f32;
        for (name, sum) in self.sums.iter_mut().filter(|(_, sum)| sum.held) {
            sum.held = false;
            if norm.is_none_or(f64::is_finite) {
                sum.values.iter_mut().for_each(|value| *value *= scale);
                engine.apply(name, &sum.values, step)?;
            }
        }
        Ok(norm)
    }

    /// The global norm; parameters are added up in the order of their names.
    fn norm(&self) -> f64 {
        let squares = |sum: &Sum| sum.values.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>();
        self.sums.values().filter(|sum| sum.held).map(squares).sum::<f64>().sqrt()
    }
}

/// Whether a parameter is a running statistic of batch normalisation, whose "gradient" is a difference.
pub(crate) fn is_running(name: &str) -> bool {
    name.ends_with(".running_mean") || name.ends_with(".running_var")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradients_are_clipped_as_by_pytorch() {
        // torch.nn.utils.clip_grad_norm_ of the gradients (3, 4) and 12 to a norm of 6.5: the norm is 13.
        assert!((clip_factor(13.0, 6.5) - 0.5).abs() < 1e-7);
        assert_eq!((clip_factor(13.0, 14.0), clip_factor(0.0, 1.0)), (1.0, 1.0));
        let mut held = HeldGradients::default();
        held.add("b", &[6.0], 1.0);
        held.add("a", &[3.0, 4.0], 1.0);
        held.add("b", &[3.0], 2.0);
        assert_eq!(held.norm(), 13.0);
    }
}

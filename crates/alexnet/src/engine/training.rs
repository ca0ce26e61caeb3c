//! Traits that a trainer requires of an engine.

use super::split::SplitEngine;
use super::{Batch, BatchShard, GradientAccumulation, Inference, OptimizerStep, StepStats, WeightAveraging};
use crate::Result;

/// Training steps, and optimizer state by parameter and slot.
///
/// An engine may be distributed; then all ranks make the same calls, each with its shard of the batch.
pub trait Training: Inference {
    /// One training step on a batch of which this rank has a shard: forward, backward and update. A rank without
    /// images takes part too. The statistics are those of the whole batch. Frozen layers keep parameters and state
    /// bitwise unchanged, and backward may stop at the lowest trainable layer.
    ///
    /// # Errors
    /// Images or labels that do not fit the net or the engine, or another rank that failed.
    fn train_shard(&mut self, shard: &BatchShard<'_>, step: &OptimizerStep) -> Result<StepStats>;

    /// Reads one [slot](alexnet_kernels::optim::Optimizer::slots) of a parameter's optimizer state in canonical
    /// order; zeros before the first step.
    ///
    /// # Errors
    /// An unknown parameter, or one that is sharded and not gathered.
    fn state(&self, name: &str, slot: &str) -> Result<Vec<f32>>;

    /// Writes one slot of a parameter's optimizer state.
    ///
    /// # Errors
    /// An unknown parameter, or another number of values.
    fn set_state(&mut self, name: &str, slot: &str, values: &[f32]) -> Result<()>;

    /// Makes [`infer`](Inference::infer) bitwise equal to inference between two training steps. Otherwise an engine
    /// that has only loaded parameters may sum in a different order than one that has trained, and validation in a
    /// resumed run would differ in its last digits.
    fn prepare_training(&mut self) {}

    /// Makes every parameter, and these slots of its state, readable on rank 0 until the next step.
    ///
    /// # Errors
    /// Another rank that failed.
    fn gather_parameters(&mut self, slots: &[&str]) -> Result<()> {
        let _ = slots;
        Ok(())
    }

    /// Whether each rank holds every parameter whole, as opposed to shards.
    fn holds_whole_net(&self) -> bool {
        true
    }

    /// The engine as one that can hold gradients, if supported.
    fn accumulation(&mut self) -> Option<&mut dyn GradientAccumulation> {
        None
    }

    /// The engine as one that keeps an average of its parameters, if supported.
    fn averaging(&mut self) -> Option<&mut dyn WeightAveraging> {
        None
    }

    /// The engine as one that can start from intermediate activations, if supported.
    fn split(&mut self) -> Option<&mut dyn SplitEngine> {
        None
    }
}

/// Training by an engine that holds the whole net and can expose gradients before the update.
pub trait Gradients: Training {
    /// One training step on a whole batch: forward, backward and update, fused where the engine supports it.
    ///
    /// # Errors
    /// Images or labels that do not fit the net or the engine.
    fn train_step(&mut self, batch: &Batch<'_>, step: &OptimizerStep) -> Result<StepStats>;

    /// Computes the mean loss and its gradients without updating parameters. Gradients are visited by parameter name
    /// in canonical order as backward produces them, last layer first. Frozen layers are included, because no step is
    /// given.
    ///
    /// Running statistics of batch normalisation have no gradient. The visitor gets their difference to the batch's
    /// statistics instead, and [`apply`](Self::apply) moves them by a fraction of it. When gradients are summed over
    /// parts of a batch, these differences must be averaged. A frozen layer keeps its running statistics, but still
    /// normalises by the batch in training.
    ///
    /// # Errors
    /// Images or labels that do not fit the net or the engine.
    fn gradients(&mut self, batch: &Batch<'_>, visit: &mut (dyn FnMut(&str, &[f32]) + Send)) -> Result<StepStats>;

    /// Updates one parameter from a gradient in canonical order, as [`gradients`](Self::gradients) visits it; the
    /// caller may have clipped it or summed it over processes. Applying all gradients of a batch equals
    /// [`train_step`](Self::train_step). [`OptimizerStep::rates`] determines the update: at the layer's own rate, or
    /// none if the layer is frozen.
    ///
    /// # Errors
    /// An unknown parameter, or another number of values.
    fn apply(&mut self, name: &str, gradient: &[f32], step: &OptimizerStep) -> Result<()>;
}

//! What a trainer needs of an engine.

use super::split::SplitEngine;
use super::{Batch, BatchShard, Inference, OptimizerStep, StepStats};
use crate::Result;

/// Training steps, and the optimizer's state by parameter and slot.
///
/// An engine may be spread over ranks; then all of them make the same calls, each with its share of the batch.
pub trait Training: Inference {
    /// One step on a batch of which this rank has a share: forward, backward and update. A rank that has no image takes part too.
    /// The statistics are those of the whole batch. Layers that the step freezes keep parameters and state to the bit, and
    /// backward need not go below the lowest layer that learns.
    ///
    /// # Errors
    /// Images or labels that do not fit the net or the engine, or another rank that is gone.
    fn train_shard(&mut self, shard: &BatchShard<'_>, step: &OptimizerStep) -> Result<StepStats>;

    /// What the optimizer keeps of a parameter in one of its [slots](alexnet_kernels::optim::Optimizer::slots), in canonical order;
    /// zeros before the first step.
    ///
    /// # Errors
    /// No such parameter, or one that is spread over ranks and not gathered.
    fn state(&self, name: &str, slot: &str) -> Result<Vec<f32>>;

    /// Writes what [`state`](Self::state) reads.
    ///
    /// # Errors
    /// No such parameter, or another number of values.
    fn set_state(&mut self, name: &str, slot: &str, values: &[f32]) -> Result<()>;

    /// Makes [`infer`](Inference::infer) give from now on what it gives between two steps of training, to the bit. Without this, an
    /// engine that has only loaded parameters may sum in another order than one that has also done a step, and validation in a
    /// resumed run would differ in its last digits.
    fn prepare_training(&mut self) {}

    /// Makes rank 0 able to read every parameter, and these slots of its state, until the next step.
    ///
    /// # Errors
    /// Another rank that is gone.
    fn gather_parameters(&mut self, slots: &[&str]) -> Result<()> {
        let _ = slots;
        Ok(())
    }

    /// The engine as one that can start from intermediate activations, if it can.
    fn split(&mut self) -> Option<&mut dyn SplitEngine> {
        None
    }
}

/// Training by an engine that holds the whole net: gradients can be seen before parameters move by them.
pub trait Gradients: Training {
    /// One step on a whole batch: forward, backward and update, fused as far as the engine can.
    ///
    /// # Errors
    /// Images or labels that do not fit the net or the engine.
    fn train_step(&mut self, batch: &Batch<'_>, step: &OptimizerStep) -> Result<StepStats>;

    /// Mean loss and every gradient (of the mean loss), parameters left as they are. Gradients are visited by parameter
    /// name in canonical order as backward finishes them, last layer first; no step is known here, so frozen layers' too.
    ///
    /// Running statistics of batch normalisation have no gradient. What is shown in its place is how far they are from the
    /// batch's, and [`apply`](Self::apply) moves them by a share of that; so whoever sums gradients over parts of a batch takes
    /// means of the parts' statistics. A frozen layer keeps them, but still normalises by the batch in training.
    ///
    /// # Errors
    /// Images or labels that do not fit the net or the engine.
    fn gradients(&mut self, batch: &Batch<'_>, visit: &mut (dyn FnMut(&str, &[f32]) + Send)) -> Result<StepStats>;

    /// Moves one parameter by a gradient in canonical order, which [`gradients`](Self::gradients) has shown and the caller
    /// may have clipped, or summed over processes. After all parameters of a batch: the same as [`train_step`](Self::train_step).
    /// The parameter moves as [`OptimizerStep::rates`] says: at its layer's own rate, and not at all where the layer is frozen.
    ///
    /// # Errors
    /// No such parameter, or another number of values.
    fn apply(&mut self, name: &str, gradient: &[f32], step: &OptimizerStep) -> Result<()>;
}

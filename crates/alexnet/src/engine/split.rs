//! Beginning in the middle of a net, with what the layers below once gave for an image.

use super::{Batch, OptimizerStep, StepStats};
use crate::Result;

/// An engine that can begin in the middle of its net.
///
/// What it gives for an image there, its features, are floats in an order of the engine's own, as many for each image. They
/// are good as long as the layers below keep their parameters, and inference from them gives the bits of a run from the
/// image on.
pub trait SplitEngine {
    /// What the layers up to `layer` give for images, dropout off: `[n, features]`.
    ///
    /// # Errors
    /// No such layer, or not the net's images.
    fn features(&mut self, images: &[f32], layer: &str) -> Result<Vec<f32>>;

    /// As [`Inference::infer`](super::Inference::infer), from what [`features`](Self::features) gave after `layer`.
    ///
    /// # Errors
    /// No such layer, or not its features.
    fn infer_after(&mut self, layer: &str, features: &[f32], logits: &mut Vec<f32>) -> Result<()>;

    /// As [`Gradients::train_step`](super::Gradients::train_step), with features after `layer` in the place of the batch's images. The
    /// step must freeze the layers up to there.
    ///
    /// # Errors
    /// No such layer, not its features, or a step by which a layer below learns.
    fn train_step_after(&mut self, layer: &str, batch: &Batch<'_>, step: &OptimizerStep) -> Result<StepStats>;
}

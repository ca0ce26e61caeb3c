//! Split execution of a net, starting from cached intermediate activations.

use super::{Batch, OptimizerStep, StepStats};
use crate::Result;

/// Engine that can start from intermediate activations.
///
/// The features of an image are floats in an engine-specific order, the same number for each image. They stay valid
/// while the layers below keep their parameters, and continuing from them is bitwise equal to starting from the
/// image.
pub trait SplitEngine {
    /// Output of the layers up to `layer`, dropout off: `[n, features]`.
    ///
    /// # Errors
    /// An unknown layer, or images of another size.
    fn features(&mut self, images: &[f32], layer: &str) -> Result<Vec<f32>>;

    /// Logits, as [`Inference::infer`](super::Inference::infer), from the [`features`](Self::features) of `layer`.
    ///
    /// # Errors
    /// An unknown layer, or a wrong number of features.
    fn infer_after(&mut self, layer: &str, features: &[f32], logits: &mut Vec<f32>) -> Result<()>;

    /// Training step, as [`Gradients::train_step`](super::Gradients::train_step), with features of `layer` in place
    /// of the batch's images. The step must freeze all layers up to `layer`.
    ///
    /// # Errors
    /// An unknown layer, a wrong number of features, or a step that does not freeze a layer below.
    fn train_step_after(&mut self, layer: &str, batch: &Batch<'_>, step: &OptimizerStep) -> Result<StepStats>;

    /// As [`train_step_after`](Self::train_step_after), but holds `weight` times the gradients, see
    /// [`GradientAccumulation::accumulate`](super::GradientAccumulation::accumulate).
    ///
    /// # Errors
    /// Those of [`train_step_after`](Self::train_step_after).
    fn accumulate_after(&mut self, layer: &str, batch: &Batch<'_>, step: &OptimizerStep, weight: f32) -> Result<StepStats>;
}

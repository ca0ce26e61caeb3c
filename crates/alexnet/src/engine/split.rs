//! Beginning in the middle of a net, with what the layers below once gave for a picture.

use super::{Batch, StepStats, Update};
use crate::Result;

/// An engine that can begin in the middle of its net.
///
/// What it gives for a picture there, its features, are floats in an order of the engine's own, as many for each picture. They
/// are good as long as the layers below keep their parameters, and going on from them gives the bits of a run from the
/// picture on.
pub trait SplitEngine {
    /// What the layers up to `layer` give for images, dropout off: `[n, features]`.
    ///
    /// # Errors
    /// No such layer, or not the net's pictures.
    fn features(&mut self, images: &[f32], layer: &str) -> Result<Vec<f32>>;

    /// As [`Engine::infer`](super::Engine::infer), from what [`features`](Self::features) gave after `layer`.
    ///
    /// # Errors
    /// No such layer, or not its features.
    fn infer_after(&mut self, layer: &str, features: &[f32], logits: &mut Vec<f32>) -> Result<()>;

    /// As [`Engine::train_step`](super::Engine::train_step), with features after `layer` in the place of the batch's images. The
    /// rule must freeze the layers up to there.
    ///
    /// # Errors
    /// No such layer, not its features, or a rule by which a layer below learns.
    fn train_step_after(&mut self, layer: &str, batch: &Batch<'_>, rule: &Update) -> Result<StepStats>;
}

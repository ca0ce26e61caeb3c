//! Images and weights of the batches that make up the current optimizer step.

use crate::engine::{GradientAccumulation, Training};
use crate::{Error, Result};

/// Batches of the current step.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// Number of images.
    pub(super) images: usize,
    /// Total weight of the held gradients.
    weight: f32,
}

impl Held {
    /// Counts a batch of `images`, whose gradients are those of their mean and weigh `weight`.
    pub(super) fn add(&mut self, images: usize, weight: f32) {
        self.images += images;
        self.weight += weight;
    }

    /// Factor that makes the held gradients those of the mean over all images.
    pub(super) fn scale(&self) -> f32 {
        1.0 / self.weight
    }
}

/// The engine, which supports accumulation according to [`ema::check`](crate::train::ema::check).
pub(super) fn accumulation(engine: &mut dyn Training) -> Result<&mut dyn GradientAccumulation> {
    engine.accumulation().ok_or_else(|| Error::Invalid("this device cannot hold gradients".into()))
}

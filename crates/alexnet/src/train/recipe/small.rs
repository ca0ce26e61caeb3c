//! The recipe `quick` for a small set of images.
//!
//! `quick` was made for some thousand images: batches of 32 whose last one is left out are one step an epoch for 60 images, its 30 steps
//! have no warm-up to speak of, and at a rate of 0.003 the loss explodes and then stays at ln(classes).

use super::{Choice, Init, Recipe, Schedule};

/// From this many training images on `quick` stays as it is: at least 20 steps an epoch, 600 in all.
const SMALL: usize = 640;
/// With fewer validation images than this, the best of many models is found by luck: one image of 30 is 3 % of the accuracy.
pub const FEW_TO_VALIDATE: usize = 30;
/// Share of a small set that is held out: with a tenth of 60 images, 77 % of unseen images right were 50 % of the 6 held out.
pub const SMALL_SET_VAL_SHARE: f64 = 0.2;
/// Steps an epoch should have, within the limits of a batch.
const STEPS_PER_EPOCH: usize = 8;
/// Least and most images in a batch. Small batches learn more in an epoch, but their gradients are rough and each step writes all weights.
const BATCH: (usize, usize) = (4, 16);
/// The learning rate, in proportion to the batch, and its least and most. With batches of 4 the loss rose threefold at 0.002.
const RATE_PER_IMAGE: f64 = 0.001 / 4.0;
const RATE: (f64, f64) = (0.001, 0.002);
/// Steps a run should have, within the limits of its epochs.
const STEPS: usize = 450;
/// Least and most epochs: more passes over a handful of images learn these by heart only.
const EPOCHS: (usize, usize) = (30, 100);

impl Recipe {
    /// Whether [`for_small_set`](Self::for_small_set) changes the recipe for `train` training images.
    pub fn adapts_to(&self, train: usize) -> bool {
        self.name == "quick" && train < SMALL
    }

    /// The recipe for a set of `train` images, of which other `validation` images are held out. Only `quick` changes, and only for a
    /// small set: smaller batches without a remainder that is left out, more epochs, a lower rate with a longer warm-up, first values that suit it, and, where
    /// there are too few images to choose by, the last model as the best one.
    #[must_use]
    pub fn for_small_set(self, train: usize, validation: usize) -> Recipe {
        if !self.adapts_to(train) {
            return self;
        }
        let most = (train / STEPS_PER_EPOCH).clamp(BATCH.0, BATCH.1);
        let batch = even_batch(train, most);
        let steps = train.div_ceil(batch).max(1);
        let best = if validation < FEW_TO_VALIDATE { Choice::Last } else { Choice::Validation };
        Recipe {
            batch,
            drop_last: false,
            epochs: STEPS.div_ceil(steps).clamp(EPOCHS.0, EPOCHS.1),
            lr: (RATE_PER_IMAGE * batch as f64).clamp(RATE.0, RATE.1) * self.optimizer.lr_scale(),
            init: Init::HeDropout,
            schedule: Schedule::WarmupCosine { warmup: 0.1 },
            best,
            ..self
        }
    }
}

/// A batch of about `about` images (at least 4) that leaves no small one over: the gradient of a single image is too rough for a step.
fn even_batch(images: usize, about: usize) -> usize {
    if images <= about {
        return images.max(1);
    }
    let even = |batch: &usize| match images % batch {
        0 => true,
        rest => rest > 1 && 2 * rest >= *batch,
    };
    let mut near = (0..=about).flat_map(|away| [about - away, about + away]).filter(|batch| *batch > 1);
    near.find(even).unwrap_or(about)
}

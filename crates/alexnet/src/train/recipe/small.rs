//! Adaptation of the recipe `quick` to small data sets.
//!
//! `quick` was tuned for several thousand images. With 60 images, batches of 32 without the last incomplete one make
//! one step an epoch; the resulting 30 steps have almost no warm-up, and at a rate of 0.003 the loss explodes and
//! then stays at ln(classes).

use super::build::divided;
use super::{Choice, Init, Recipe, Schedule};

/// Number of training images from which `quick` is unchanged: at least 20 steps an epoch, 600 in all.
const SMALL: usize = 640;
/// Number of validation images below which selecting the best model is mostly luck: one image of 30 is 3 % of the
/// accuracy.
pub const FEW_TO_VALIDATE: usize = 30;
/// Validation fraction of a small set. With a tenth of 60 images, a model with 77 % accuracy on unseen images scored
/// 50 % on the 6 held out.
pub const SMALL_SET_VAL_SHARE: f64 = 0.2;
/// Target number of steps per epoch, within the limits of the batch size.
const STEPS_PER_EPOCH: usize = 8;
/// Minimum and maximum batch size. Small batches make more progress per epoch, but their gradients are noisy and each
/// step writes all weights.
const BATCH: (usize, usize) = (4, 16);
/// Learning rate in proportion to the batch size, and its minimum and maximum. With batches of 4 the loss rose
/// threefold at 0.002.
const RATE_PER_IMAGE: f64 = 0.001 / 4.0;
const RATE: (f64, f64) = (0.001, 0.002);
/// Target number of steps in a run, within the limits of the epochs.
const STEPS: usize = 450;
/// Minimum and maximum number of epochs: more passes over a handful of images only overfit.
const EPOCHS: (usize, usize) = (30, 100);

impl Recipe {
    /// Whether [`for_small_set`](Self::for_small_set) changes the recipe for `train` training images.
    pub fn adapts_to(&self, train: usize) -> bool {
        self.name == "quick" && train < SMALL
    }

    /// Adapts the recipe to a set of `train` images with `validation` others held out. Only `quick` changes, and only
    /// for a small set: smaller batches without dropping the remainder, more epochs, a lower rate with a longer
    /// warm-up, a matching initialisation, and, with too few validation images to select by, the last model as the
    /// best one.
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
            lr: divided((RATE_PER_IMAGE * batch as f64).clamp(RATE.0, RATE.1), self.optimizer.lr_divisor()),
            init: Init::HeDropout,
            schedule: Schedule::WarmupCosine { warmup: 0.1 },
            best,
            ..self
        }
    }
}

/// A batch size near `about` (at least 4) that leaves no tiny remainder: the gradient of a single image is too noisy
/// for a step.
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

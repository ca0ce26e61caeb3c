//! Adaptations of the recipe `quick`: to small and large data sets, to short and long runs, and to nets that are trained without batch normalisation.
//!
//! `quick` was tuned for several thousand images. With 60 images, batches of 64 without the last incomplete one make
//! no step at all. Without normalisation its learning rate is too high, and the loss stays at ln(classes).

use super::build::divided;
use super::{Augmentation, Auto, Choice, Init, Recipe, Schedule};
use std::collections::BTreeMap;

/// Number of training images from which `quick` is unchanged: at least 20 steps an epoch, 600 in all.
const SMALL: usize = 640;
/// Number of validation images below which selecting the best model is mostly luck: one image of 30 is 3 % of the
/// accuracy.
pub const FEW_TO_VALIDATE: usize = 30;
/// Validation fraction of a small set. With a tenth of 60 images, a model with 77 % accuracy on unseen images scored
/// 50 % on the 6 held out.
pub const SMALL_SET_VAL_SHARE: f64 = 0.2;
/// Number of epochs from which a run is long: the images have been seen so often that they need more variety.
const LONG: usize = 60;
/// Number of epochs below which a run is short, and the share of the resized image that its crops take: images that are seen a few times
/// teach more in large pieces of fixed size. CIFAR-10 at 64 pixels, seed 11: after 4 epochs, RandomResizedCrop had 70.2 %, from 70 % of the image
/// 74.7 %, mirrors alone 75.7 %; after 10 epochs 76.4 and 79.7 %, and these crops 80.1 %.
const SHORT: usize = 12;
const CROP_PCT: f64 = 0.875;
/// Number of images from which a set is large, and the least weight decay, that of the paper. A decay is a prior on the weights, whose
/// share in the mean loss falls with the number of images.
const LARGE: usize = 4000;
const LEAST_DECAY: f64 = 5e-4;
/// Fewest images of a small set that are normalised: with fewer, a batch hardly has statistics.
const LEAST_NORMALISED: usize = 16;
/// Warm-up of a small set, as a fraction of all steps.
const WARMUP: f64 = 0.1;
/// Minimum and maximum number of epochs: more passes over a handful of images only overfit.
const EPOCHS: (usize, usize) = (30, 100);

/// How a small set is cut into steps.
struct Steps {
    /// Target number of steps per epoch, within the limits of the batch size.
    per_epoch: usize,
    /// Minimum and maximum batch size.
    batch: (usize, usize),
    /// Target number of steps in a run, within the limits of the epochs.
    all: usize,
}

/// With batch normalisation, whose statistics need images.
const NORMALISED: Steps = Steps { per_epoch: 4, batch: (8, 32), all: 240 };
/// Without. Small batches make more progress per epoch, but their gradients are noisy and each step writes all weights.
const PLAIN: Steps = Steps { per_epoch: 8, batch: (4, 16), all: 450 };
/// Learning rate without normalisation in proportion to the batch size, and its minimum and maximum. With batches of 4 the
/// loss rose threefold at 0.002.
const RATE_PER_IMAGE: f64 = 0.001 / 4.0;
const RATE: (f64, f64) = (0.001, 0.002);

impl Recipe {
    /// Whether [`for_small_set`](Self::for_small_set) changes the recipe for `train` training images.
    pub fn adapts_to(&self, train: usize) -> bool {
        self.name == "quick" && train < SMALL
    }

    fn is_normalised_quick(&self) -> bool {
        self.name == "quick" && self.batch_norm
    }

    /// Adapts the recipe to a set of `train` images with `validation` others held out. Only `quick` changes, and only
    /// for a small set: smaller batches without dropping the remainder, more epochs, a longer warm-up, and, with too few
    /// validation images to select by, the last model as the best one. Without batch normalisation, which a handful of images
    /// do not get, also a lower rate and a matching initialisation.
    #[must_use]
    pub fn for_small_set(self, train: usize, validation: usize) -> Recipe {
        if !self.adapts_to(train) {
            return self;
        }
        if self.batch_norm && train < LEAST_NORMALISED {
            return self.without_batch_norm().for_small_set(train, validation);
        }
        let plan = if self.batch_norm { NORMALISED } else { PLAIN };
        let batch = even_batch(train, (train / plan.per_epoch).clamp(plan.batch.0, plan.batch.1));
        let steps = train.div_ceil(batch).max(1);
        let adapted = Recipe {
            batch,
            drop_last: false,
            epochs: plan.all.div_ceil(steps).clamp(EPOCHS.0, EPOCHS.1),
            schedule: Schedule::WarmupCosine { warmup: WARMUP },
            best: if validation < FEW_TO_VALIDATE { Choice::Last } else { Choice::Validation },
            ..self
        };
        if adapted.batch_norm {
            return adapted;
        }
        let lr = divided((RATE_PER_IMAGE * batch as f64).clamp(RATE.0, RATE.1), adapted.optimizer.lr_divisor());
        Recipe { lr, init: Init::HeDropout, ..adapted }
    }

    /// Adapts the recipe to a set of `train` images: a weight decay in inverse proportion to their number, if it is large. Only `quick`
    /// with batch normalisation changes.
    #[must_use]
    pub fn for_large_set(self, train: usize) -> Recipe {
        if !self.is_normalised_quick() || train <= LARGE {
            return self;
        }
        let weight_decay = divided(self.weight_decay, train as f64 / LARGE as f64).max(LEAST_DECAY.min(self.weight_decay));
        Recipe { weight_decay, ..self }
    }

    /// Adapts the recipe to a run of many epochs over `train` images: TrivialAugmentWide. Only `quick` with batch normalisation
    /// changes.
    #[must_use]
    pub fn for_long_run(self, train: usize) -> Recipe {
        if !self.is_normalised_quick() || self.adapts_to(train) || self.epochs < LONG {
            return self;
        }
        Recipe { augment: Augmentation { auto: Some(Auto::Trivial), ..self.augment }, ..self }
    }

    /// Adapts the recipe to a run of few epochs over `train` images: the paper's crops of a fixed size. Only `quick` with batch
    /// normalisation changes.
    #[must_use]
    pub fn for_short_run(self, train: usize) -> Recipe {
        if !self.is_normalised_quick() || self.adapts_to(train) || self.epochs >= SHORT {
            return self;
        }
        let Augmentation { kind, scale, ratio, short_side, .. } = Augmentation::crop_mirror();
        Recipe { augment: Augmentation { kind, scale, ratio, short_side, ..self.augment }, crop_pct: Some(CROP_PCT), ..self }
    }

    /// The recipe for a net that is trained without batch normalisation: `quick` as it was before it had one, and other recipes
    /// as they are.
    #[must_use]
    pub fn without_batch_norm(self) -> Recipe {
        if !self.is_normalised_quick() {
            return Recipe { batch_norm: false, ..self };
        }
        // At a learning rate of 0.01, He initialisation killed most ReLUs of fc6 and fc7 in the first epoch, and the
        // loss stayed at ln(classes). At 0.003 the built-in set reached 90 % after 6 epochs, where `simple` needed 9.
        Recipe {
            batch: 32,
            lr: 0.003,
            weight_decay: self.bias_weight_decay,
            layer_rates: BTreeMap::new(),
            augment: Augmentation::crop_mirror(),
            dropout: None,
            crop_pct: None,
            batch_norm: false,
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

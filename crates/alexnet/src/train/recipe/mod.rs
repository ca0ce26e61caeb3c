//! How a network is trained, as data: a recipe is a row in [`by_name`].

mod build;
mod earlier;
mod presets;
mod schedule;
mod small;
#[cfg(test)]
mod tests;

pub use presets::{KNOWN_CLASSES, NAMES, by_name};
pub use schedule::{Progress, Schedule, ScheduleState};
pub use small::{FEW_TO_VALIDATE, SMALL_SET_VAL_SHARE};

use crate::image::pca_noise::Strength;
pub use alexnet_kernels::optim::adamw::AdamW;
pub use alexnet_kernels::optim::sgd::Sgd;
pub use alexnet_kernels::optim::{MomentumForm, Optimizer};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Every setting in which published trainings of AlexNet differ. It is stored in the model and in the run's config.toml.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, remote = "Self")]
pub struct Recipe {
    /// Its name.
    pub name: String,
    /// Passes over the training images.
    pub epochs: usize,
    /// Images in a step.
    pub batch: usize,
    /// Whether a last, incomplete batch of an epoch is left out.
    pub drop_last: bool,
    /// After how many epochs an image's random changes come again; 0: never. What frozen layers make of it is then kept.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub views: usize,
    /// Learning rate of the weights at the beginning.
    pub lr: f64,
    /// Weight decay.
    pub weight_decay: f64,
    /// Weight decay of the biases: 0 in the 2012 code and in Caffe, equal to `weight_decay` in PyTorch.
    pub bias_weight_decay: f64,
    /// What turns gradients into updates. With LARS, the rate is that of `batch` images, see [`Recipe::with_batch`].
    pub optimizer: Optimizer,
    /// How parameters begin.
    pub init: Init,
    /// How images become numbers.
    pub pictures: Pictures,
    /// Which of the models that a run goes through `best.safetensors` is.
    #[serde(default, skip_serializing_if = "Choice::is_default")]
    pub best: Choice,
    /// Learning rate of the biases.
    pub bias_lr: BiasRate,
    /// How the learning rate changes.
    pub schedule: Schedule,
    /// Random changes of the training images.
    pub augment: Augmentation,
    /// Random changes of their colours.
    pub colour: Option<Colour>,
    /// How many times these learning rates a layer's are, by its name or by `head` for the last one; 0 freezes it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub layer_rates: BTreeMap<String, f64>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(n: &usize) -> bool {
    *n == 0
}

/// Which of the models that a run goes through `best.safetensors` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// The one with the highest validation accuracy.
    #[default]
    Validation,
    /// The last one, for sets with too few validation images to choose by: of six images an early model often has as many right as
    /// the last by chance alone.
    Last,
}

impl Choice {
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    fn is_default(&self) -> bool {
        *self == Choice::default()
    }
}

/// Learning rate of the biases.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BiasRate {
    /// This many times that of the weights.
    Times(f64),
    /// Always the same: the 2012 code never lowered it.
    Fixed(f64),
}

/// How parameters begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Init {
    /// As the net says.
    Net,
    /// He et al. 2015: deviation sqrt(2 / fan_in), biases 0, so that signals neither die nor grow from layer to layer. With
    /// the initialisation of 2012 or of PyTorch, AlexNet may stay at a loss of ln(classes) for long on a small set.
    He,
    /// He et al. 2015 for layers whose inputs neither maximum pools nor dropout have yet enlarged in the mean of squares, and a last layer that
    /// gives almost nothing. So the first steps are even, at a small batch and a rate that would otherwise make the loss rise fourfold at first.
    HeDropout,
}

/// How images become numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pictures {
    /// As [`Preprocess::for_net`](crate::image::Preprocess::for_net) says.
    Net,
    /// The same, but the mean image of the training set is subtracted, at its centre, as the paper and the 2012 code do.
    MeanPicture,
    /// torchvision's: short side to 256/224 of the crop, rounded; ImageNet's mean and deviation.
    ImageNet,
}

/// Random changes of the training images.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Augmentation {
    /// None.
    None,
    /// The paper's: a random crop of the resized image, mirrored in half of the cases.
    CropMirror,
    /// torchvision's: a random area of the original image, resized, mirrored in half of the cases.
    RandomResizedCrop {
        /// Smallest and largest share of the image's pixels.
        scale: [f32; 2],
        /// Smallest and largest width / height.
        ratio: [f32; 2],
    },
}

/// The paper's colour noise, along the principal components of the user's own training images.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Colour {
    /// Deviation of alpha; the paper's is 0.1.
    pub sigma: f32,
    /// Which of the two published strengths.
    pub strength: Strength,
}

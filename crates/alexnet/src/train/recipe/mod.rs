//! Training recipes as data; [`by_name`] returns the presets.

mod adapt;
mod augmentation;
mod build;
mod earlier;
mod edit;
mod ema;
pub mod keys;
mod loss;
mod monitor;
mod presets;
mod rate_change;
mod render;
mod schedule;
mod source;
#[cfg(test)]
mod tests;
mod warmup;

pub use crate::data::loader::Sampling;
pub use adapt::{FEW_TO_VALIDATE, SMALL_SET_VAL_SHARE};
pub use augmentation::{Augmentation, Auto, CropKind};
pub(crate) use edit::Change;
pub use ema::Ema;
pub use loss::{ClassWeights, LossSettings};
pub use monitor::Monitor;
pub use presets::{KNOWN_CLASSES, NAMES, by_name, summary};
pub use rate_change::RateChange;
pub use schedule::{Progress, Schedule, ScheduleState};
pub(crate) use source::Chosen;
pub use source::FILE;

use super::timeline::Leg;
use crate::image::JpegDecoding;
use crate::image::pca_noise::Strength;
pub use alexnet_kernels::optim::adamw::AdamW;
pub use alexnet_kernels::optim::sgd::Sgd;
pub use alexnet_kernels::optim::{MomentumForm, Optimizer};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Training recipe: every setting in which published trainings of AlexNet differ. It is stored in the model and in
/// the run's config.toml.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, remote = "Self")]
pub struct Recipe {
    /// Name.
    pub name: String,
    /// Number of epochs.
    pub epochs: usize,
    /// Batch size.
    pub batch: usize,
    /// Whether the last, incomplete batch of an epoch is dropped.
    pub drop_last: bool,
    /// Number of epochs after which an image's random augmentations repeat; 0: never. The outputs of frozen layers
    /// are then cached.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub views: usize,
    /// Initial learning rate of the weights.
    pub lr: f64,
    /// Weight decay.
    pub weight_decay: f64,
    /// Weight decay of the biases: 0 in the 2012 code and in Caffe, equal to `weight_decay` in PyTorch.
    pub bias_weight_decay: f64,
    /// Optimizer. With LARS, the learning rate is that of `batch` images, see [`Recipe::with_batch`].
    pub optimizer: Optimizer,
    /// Number of batches whose gradients are accumulated for one optimizer step.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub accumulate: usize,
    /// Maximum norm of all gradients together, to which larger ones are scaled down, as `torch.nn.utils.clip_grad_norm_` does;
    /// none: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip_norm: Option<f64>,
    /// Moving average of the weights; none: off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ema: Option<Ema>,
    /// Initialisation of the parameters.
    pub init: Init,
    /// Preprocessing of the images.
    #[serde(rename = "pictures")]
    pub images: ImagePreprocessing,
    /// Crop as a fraction of the size to which images are resized, as timm's `crop_pct`; `None`: that of `images`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crop_pct: Option<f64>,
    /// Decoding of JPEG files.
    #[serde(default, skip_serializing_if = "JpegDecoding::is_exact")]
    pub jpeg: JpegDecoding,
    /// Selection of the model saved as `best.safetensors`.
    #[serde(default, skip_serializing_if = "Choice::is_default")]
    pub best: Choice,
    /// Loss.
    #[serde(default, skip_serializing_if = "LossSettings::is_plain")]
    pub loss: LossSettings,
    /// Selection of an epoch's images.
    #[serde(default, skip_serializing_if = "Sampling::is_default")]
    pub sampling: Sampling,
    /// Metric that selects the best model, and by which patience and plateaus count.
    #[serde(default, skip_serializing_if = "Monitor::is_default")]
    pub monitor: Monitor,
    /// Number of epochs without a better one after which the run ends; 0: never.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub patience: usize,
    /// Learning rate of the biases.
    pub bias_lr: BiasRate,
    /// Learning-rate schedule.
    pub schedule: Schedule,
    /// Epochs of linear warm-up in front of the schedule, possibly fractional; 0: none but the schedule's own.
    #[serde(default, skip_serializing_if = "is_none")]
    pub warmup_epochs: f64,
    /// The same, as a fraction of all steps.
    #[serde(default, skip_serializing_if = "is_none")]
    pub warmup_fraction: f64,
    /// Augmentation of the training images.
    pub augment: Augmentation,
    /// Colour augmentation of the training images.
    pub colour: Option<Colour>,
    /// Probability of zero of all dropout layers; `None`: the net's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropout: Option<f32>,
    /// Whether batch normalisation is added after every hidden convolution and linear layer for training. It is folded into the
    /// weights when a model is saved, so that the saved net is the one that was asked for. Not with `--from`, whose weights
    /// were trained without it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub batch_norm: bool,
    /// Per-layer learning-rate multipliers, by layer name or `head` for the last one; 0 freezes a layer.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub layer_rates: BTreeMap<String, f64>,
    /// Weight decay of some layers' weights, by layer name or `head` for the last one, instead of `weight_decay`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub layer_weight_decay: BTreeMap<String, f64>,
    /// Changes of layers' learning rates during the run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub layer_rate_changes: Vec<RateChange>,
    /// Plans by which a run with a time budget has gone, to repeat it without a clock; empty: whole epochs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub timeline: Vec<Leg>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(n: &usize) -> bool {
    *n == 0
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_none(x: &f64) -> bool {
    *x == 0.0
}

fn one() -> usize {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_one(n: &usize) -> bool {
    *n == 1
}

/// Selection of the model saved as `best.safetensors`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// The model of the best epoch by the monitored metric.
    #[default]
    Validation,
    /// The last model, for sets with too few validation images to select by: on six images an early model often
    /// scores as high as the last one by chance.
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
    /// Multiple of the weights' learning rate.
    Times(f64),
    /// Constant learning rate; the 2012 code never lowered it.
    Fixed(f64),
}

/// Initialisation of the parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Init {
    /// As the net specifies.
    Net,
    /// He et al. 2015: deviation sqrt(2 / fan_in), biases 0, so that signals neither vanish nor grow from layer to
    /// layer. With the initialisation of 2012 or of PyTorch, AlexNet may stay at a loss of ln(classes) for long on a
    /// small set.
    He,
    /// He et al. 2015, corrected for the growth of the mean square by max pooling and dropout, with a last layer
    /// close to zero. The first steps are then stable with small batches and a learning rate that would otherwise
    /// raise the loss fourfold at first.
    HeDropout,
}

/// Preprocessing of the images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImagePreprocessing {
    /// The default of the net, see [`Preprocess::for_net`](crate::image::Preprocess::for_net).
    Net,
    /// The same, but subtracting the centre of the training set's mean image, as the paper and the 2012 code do.
    #[serde(rename = "mean_picture")]
    MeanImage,
    /// torchvision's: resize the short side to 256/224 of the crop, rounded; ImageNet's mean and deviation.
    ImageNet,
}

/// The paper's colour noise along the principal components of the training images.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Colour {
    /// Standard deviation of alpha; the paper's is 0.1.
    pub sigma: f32,
    /// Which of the two published strengths to use.
    pub strength: Strength,
}

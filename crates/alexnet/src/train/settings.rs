//! Settings of a training run, as given by the user.

use super::OnDecodeError;
use super::recipe::Monitor;
use super::snapshots::Keep;
use crate::class_match::LabelOrder;
use crate::distributed::Parallel;
use crate::image::JpegDecoding;
use crate::net::Activation;
use std::path::PathBuf;
use std::time::Duration;

/// Settings of a training run, new or resumed. `None` means the default of the recipe or network, or the resumed run's value.
///
/// ```no_run
/// # fn main() -> alexnet::Result<()> {
/// let run = alexnet::TrainSettings::new("clothing/train").net("torchvision").epochs(30).run()?;
/// println!("{}", run.best.display());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Settings {
    /// Training images, in any layout of [`crate::data`]; `None`: the built-in synthetic set.
    pub data: Option<PathBuf>,
    /// Validation images, in the same form; `None`: a fraction of the training images.
    pub val: Option<PathBuf>,
    /// Folder to which the paths in lists of images are relative; `None`: the lists' own.
    pub data_root: Option<PathBuf>,
    /// File with the class names in label order, for images with numbers as labels.
    pub data_classes: Option<PathBuf>,
    /// Fraction of the training images used for validation if `val` is `None`.
    pub val_share: Option<f64>,
    /// Name of a network preset.
    pub net: Option<String>,
    /// Name of a recipe, a recipe file, or the folder of a run whose recipe is used.
    pub recipe: Option<String>,
    /// Changes of the recipe's keys, such as `momentum=0.8`; see [`KEYS`](super::recipe::keys::KEYS).
    pub set: Vec<String>,
    /// Name of an optimizer; the recipe's learning rate is scaled for it.
    pub optimizer: Option<String>,
    /// Number of epochs.
    pub epochs: Option<usize>,
    /// Time in which the run ends, instead of a number of epochs.
    pub time: Option<Duration>,
    /// Batch size.
    pub batch: Option<usize>,
    /// Number of batches whose gradients are accumulated for one optimizer step.
    pub accumulate: Option<usize>,
    /// Initial learning rate. For a resumed run, the rate from its next step on, as if lowered by hand; that which was given last
    /// changes nothing.
    pub lr: Option<f64>,
    /// Image size in pixels (rows and columns).
    pub image_size: Option<usize>,
    /// Activation function after every hidden layer, instead of the net's own.
    pub activation: Option<Activation>,
    /// Model file to fine-tune, in any format.
    pub from: Option<PathBuf>,
    /// Class names for `from`: a file, `imagenet` or `devkit`.
    pub labels: Option<PathBuf>,
    /// Order of the class folders behind the outputs of `from`, if it has no class names.
    pub label_order: Option<LabelOrder>,
    /// Layers to freeze, such as `conv1-conv5,fc6`.
    pub freeze: Option<String>,
    /// Learning-rate multipliers, such as `head=10,conv1-conv5=0.1`.
    pub lr_times: Option<String>,
    /// Number of epochs after which the random augmentations repeat; 0: never.
    pub views: Option<usize>,
    /// Decoding of JPEG files; `None`: that of `from`, or exact.
    pub jpeg: Option<JpegDecoding>,
    /// Random seed.
    pub seed: Option<u64>,
    /// Precision: `f32` or `bf16`.
    pub precision: Option<String>,
    /// Device: `cpu`, or one supported by the [`Engines`](super::Engines).
    pub device: Option<String>,
    /// Number of threads, which does not affect results; 0: one per core.
    pub threads: usize,
    /// Run folder, new or empty; `None`: `runs/NET-1` or the next free number.
    pub out: Option<PathBuf>,
    /// Folder of a run to resume.
    pub resume: Option<PathBuf>,
    /// Maximum number of steps, counted from the start of the run.
    pub max_steps: Option<u64>,
    /// Interval of checkpoints within an epoch.
    pub save_every: Duration,
    /// Handling of unreadable images.
    pub on_decode_error: OnDecodeError,
    /// How several processes share the work.
    pub parallel: Parallel,
    /// Number of blocks per batch, for bit-identical results on any number of processes.
    pub deterministic: Option<usize>,
    /// Class weights: `auto`, `none`, or a file with a class and its weight per line.
    pub class_weights: Option<PathBuf>,
    /// Whether every epoch draws the same number of images of each class.
    pub balanced: bool,
    /// Metric that selects the best model, and by which patience and plateaus count.
    pub monitor: Option<Monitor>,
    /// Number of epochs without a better one after which the run ends; 0: never.
    pub patience: Option<usize>,
    /// Interval of snapshots in epochs; 0: none.
    pub keep_every: Option<usize>,
    /// Which snapshots remain.
    pub keep: Option<Keep>,
    /// Micro-batch size: gradients are accumulated over parts of up to this many images to save memory.
    pub micro_batch: Option<usize>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            data: None,
            val: None,
            data_root: None,
            data_classes: None,
            val_share: None,
            net: None,
            recipe: None,
            set: Vec::new(),
            optimizer: None,
            epochs: None,
            time: None,
            batch: None,
            accumulate: None,
            lr: None,
            image_size: None,
            activation: None,
            from: None,
            labels: None,
            label_order: None,
            freeze: None,
            lr_times: None,
            views: None,
            jpeg: None,
            seed: None,
            precision: None,
            device: None,
            threads: 0,
            out: None,
            resume: None,
            max_steps: None,
            save_every: Duration::from_secs(300),
            on_decode_error: OnDecodeError::Skip,
            parallel: Parallel::Data,
            deterministic: None,
            class_weights: None,
            balanced: false,
            monitor: None,
            patience: None,
            keep_every: None,
            keep: None,
            micro_batch: None,
        }
    }
}

impl Settings {
    /// Settings of a new run on the images of `data`.
    #[must_use]
    pub fn new(data: impl Into<PathBuf>) -> Settings {
        Settings { data: Some(data.into()), ..Settings::default() }
    }

    /// Settings that resume a stopped run, with results bit-identical to an uninterrupted one.
    #[must_use]
    pub fn resume(run: impl Into<PathBuf>) -> Settings {
        Settings { resume: Some(run.into()), ..Settings::default() }
    }

    /// Sets the validation images.
    #[must_use]
    pub fn val(self, val: impl Into<PathBuf>) -> Settings {
        Settings { val: Some(val.into()), ..self }
    }

    /// Sets the network preset.
    #[must_use]
    pub fn net(self, net: impl Into<String>) -> Settings {
        Settings { net: Some(net.into()), ..self }
    }

    /// Sets the recipe: a name, a file, or the folder of a run.
    #[must_use]
    pub fn recipe(self, recipe: impl Into<String>) -> Settings {
        Settings { recipe: Some(recipe.into()), ..self }
    }

    /// Changes a key of the recipe, as in `momentum=0.8`.
    #[must_use]
    pub fn set(mut self, change: impl Into<String>) -> Settings {
        self.set.push(change.into());
        self
    }

    /// Sets the optimizer, such as `adamw`.
    #[must_use]
    pub fn optimizer(self, optimizer: impl Into<String>) -> Settings {
        Settings { optimizer: Some(optimizer.into()), ..self }
    }

    /// Sets the model file to fine-tune.
    #[must_use]
    pub fn from(self, model: impl Into<PathBuf>) -> Settings {
        Settings { from: Some(model.into()), ..self }
    }

    /// Sets the number of epochs.
    #[must_use]
    pub fn epochs(self, epochs: usize) -> Settings {
        Settings { epochs: Some(epochs), ..self }
    }

    /// Sets the time in which the run ends, validated and saved; its schedule follows the time.
    #[must_use]
    pub fn time(self, time: Duration) -> Settings {
        Settings { time: Some(time), ..self }
    }

    /// Sets the batch size.
    #[must_use]
    pub fn batch(self, batch: usize) -> Settings {
        Settings { batch: Some(batch), ..self }
    }

    /// Sets the initial learning rate.
    #[must_use]
    pub fn lr(self, lr: f64) -> Settings {
        Settings { lr: Some(lr), ..self }
    }

    /// Sets the image size in pixels.
    #[must_use]
    pub fn image_size(self, size: usize) -> Settings {
        Settings { image_size: Some(size), ..self }
    }

    /// Sets the activation function after every hidden layer.
    #[must_use]
    pub fn activation(self, activation: Activation) -> Settings {
        Settings { activation: Some(activation), ..self }
    }

    /// Sets the random seed.
    #[must_use]
    pub fn seed(self, seed: u64) -> Settings {
        Settings { seed: Some(seed), ..self }
    }

    /// Sets the run folder, which is new or empty.
    #[must_use]
    pub fn out(self, out: impl Into<PathBuf>) -> Settings {
        Settings { out: Some(out.into()), ..self }
    }
}

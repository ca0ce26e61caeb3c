//! Settings of a run as a user gives them.

use super::OnDecodeError;
use crate::class_match::LabelOrder;
use crate::distributed::Parallel;
use std::path::PathBuf;
use std::time::Duration;

/// A run to be: a new one, or one to resume. What is `None` is the recipe's, the network's, or the resumed run's.
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
    /// Training images: a folder with a folder per class, or a .tar of the same; none: the built-in set of shapes.
    pub data: Option<PathBuf>,
    /// Validation images, likewise; none: a share of the training images.
    pub val: Option<PathBuf>,
    /// The share of the training images to validate with where `val` is none.
    pub val_share: Option<f64>,
    /// Name of a preset.
    pub net: Option<String>,
    /// Name of a recipe.
    pub recipe: Option<String>,
    /// Name of an optimizer; the recipe's learning rate is scaled for it.
    pub optimizer: Option<String>,
    /// Passes over the images.
    pub epochs: Option<usize>,
    /// Images in a step.
    pub batch: Option<usize>,
    /// Learning rate at the beginning.
    pub lr: Option<f64>,
    /// Rows and columns of the network's input.
    pub image_size: Option<usize>,
    /// Model file to start from, of any format.
    pub from: Option<PathBuf>,
    /// Class names for `from`: a file, `imagenet` or `devkit`.
    pub labels: Option<PathBuf>,
    /// Which class folders the outputs of `from` stand for, where it has no names.
    pub label_order: Option<LabelOrder>,
    /// Layers that stay as they are, such as `conv1-conv5,fc6`.
    pub freeze: Option<String>,
    /// Learning-rate multipliers, such as `head=10,conv1-conv5=0.1`.
    pub lr_times: Option<String>,
    /// After how many epochs the images' random changes repeat; 0: never.
    pub views: Option<usize>,
    /// Seed of all random numbers.
    pub seed: Option<u64>,
    /// Arithmetic: `f32` or `bf16`.
    pub precision: Option<String>,
    /// What computes: `cpu`, or a device that the [`Engines`](super::Engines) know.
    pub device: Option<String>,
    /// Threads, which never change a result; 0: one a core.
    pub threads: usize,
    /// Folder for the run's files, new or empty; none: `runs/NET-1` or the next free number.
    pub out: Option<PathBuf>,
    /// Folder of a run to resume.
    pub resume: Option<PathBuf>,
    /// Stop after this many steps of the whole run.
    pub max_steps: Option<u64>,
    /// Save the state this often within an epoch.
    pub save_every: Duration,
    /// What to do with an image that cannot be read.
    pub on_decode_error: OnDecodeError,
    /// How several processes share the work.
    pub parallel: Parallel,
    /// Blocks that each batch is cut into, for the same bits on any number of processes.
    pub deterministic: Option<usize>,
    /// Sum gradients over parts of up to this many images, which take less memory.
    pub micro_batch: Option<usize>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            data: None,
            val: None,
            val_share: None,
            net: None,
            recipe: None,
            optimizer: None,
            epochs: None,
            batch: None,
            lr: None,
            image_size: None,
            from: None,
            labels: None,
            label_order: None,
            freeze: None,
            lr_times: None,
            views: None,
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
            micro_batch: None,
        }
    }
}

impl Settings {
    /// A new run on the images of `data`.
    #[must_use]
    pub fn new(data: impl Into<PathBuf>) -> Settings {
        Settings { data: Some(data.into()), ..Settings::default() }
    }

    /// A stopped run, to be continued to the same bits as if it had not been stopped.
    #[must_use]
    pub fn resume(run: impl Into<PathBuf>) -> Settings {
        Settings { resume: Some(run.into()), ..Settings::default() }
    }

    /// Validates with the images of `val`.
    #[must_use]
    pub fn val(self, val: impl Into<PathBuf>) -> Settings {
        Settings { val: Some(val.into()), ..self }
    }

    /// Trains the preset `net`.
    #[must_use]
    pub fn net(self, net: impl Into<String>) -> Settings {
        Settings { net: Some(net.into()), ..self }
    }

    /// Trains by the recipe `recipe`.
    #[must_use]
    pub fn recipe(self, recipe: impl Into<String>) -> Settings {
        Settings { recipe: Some(recipe.into()), ..self }
    }

    /// Moves parameters by the optimizer of a name, such as `adamw`.
    #[must_use]
    pub fn optimizer(self, optimizer: impl Into<String>) -> Settings {
        Settings { optimizer: Some(optimizer.into()), ..self }
    }

    /// Starts from a model file of any format.
    #[must_use]
    pub fn from(self, model: impl Into<PathBuf>) -> Settings {
        Settings { from: Some(model.into()), ..self }
    }

    /// Passes `epochs` times over the images.
    #[must_use]
    pub fn epochs(self, epochs: usize) -> Settings {
        Settings { epochs: Some(epochs), ..self }
    }

    /// Takes `batch` images in a step.
    #[must_use]
    pub fn batch(self, batch: usize) -> Settings {
        Settings { batch: Some(batch), ..self }
    }

    /// Starts with the learning rate `lr`.
    #[must_use]
    pub fn lr(self, lr: f64) -> Settings {
        Settings { lr: Some(lr), ..self }
    }

    /// Brings images to `size` rows and columns.
    #[must_use]
    pub fn image_size(self, size: usize) -> Settings {
        Settings { image_size: Some(size), ..self }
    }

    /// Draws all random numbers from `seed`.
    #[must_use]
    pub fn seed(self, seed: u64) -> Settings {
        Settings { seed: Some(seed), ..self }
    }

    /// Writes into the folder `out`, which is new or empty.
    #[must_use]
    pub fn out(self, out: impl Into<PathBuf>) -> Settings {
        Settings { out: Some(out.into()), ..self }
    }
}

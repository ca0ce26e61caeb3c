//! Inference and training engines: the traits that say what an engine can do, and the CPU engine.
//!
//! An engine implements what it can: every engine is a [`ParameterStore`] and infers ([`Inference`]); one that also shows what
//! happens inside is an [`Inspection`]; one that learns is a [`Training`], and one that holds the whole net and can show gradients
//! before it learns from them is a [`Gradients`]. [`Engine`] is all of these, for code that opens any device by its name.
//!
//! Parameters are read and written by name (`conv1.weight`) in canonical order: conv [out, in / groups, kernel, kernel],
//! linear [out, in] with in = channel, row, column. How an engine keeps them inside is its own affair.
//!
//! Images are `[n, 3, size, size]`, row-major, already preprocessed; labels are class numbers.

mod batch;
pub mod cpu;
pub mod init;
pub mod input;
mod inspection;
mod load;
mod optimizer_step;
mod precision;
pub(crate) mod shards;
pub mod split;
mod training;

pub use self::batch::{Batch, BatchShard, DropoutKey, StepStats};
pub use self::inspection::{Activations, FeatureMaps, Inspection, LayerGradient, ReluGradient};
pub use self::load::load_model;
pub use self::optimizer_step::OptimizerStep;
pub use self::precision::Precision;
pub use self::training::{Gradients, Training};
pub use alexnet_kernels::optim;

use crate::Result;
use crate::formats::{ActivationRanges, TensorData};
use crate::net::Net;

/// A network's parameters by name, in canonical order.
///
/// Batch normalisation has `bn1.weight` and `bn1.bias`, which learn as biases do, and running statistics, `bn1.running_mean` and
/// `bn1.running_var`.
pub trait ParameterStore {
    /// The network.
    fn net(&self) -> &Net;

    /// Reads a parameter.
    ///
    /// # Errors
    /// No such parameter, or one that is spread over ranks and not gathered.
    fn parameter(&self, name: &str) -> Result<Vec<f32>>;

    /// Writes a parameter.
    ///
    /// # Errors
    /// No such parameter, or another number of values.
    fn set_parameter(&mut self, name: &str, values: &[f32]) -> Result<()>;

    /// As [`set_parameter`](Self::set_parameter), from values that the engine may keep using where they lie.
    ///
    /// # Errors
    /// As there.
    fn share_parameter(&mut self, name: &str, values: &TensorData) -> Result<()> {
        self.set_parameter(name, values)
    }

    /// Takes the activation ranges of a quantised model. Engines without integer arithmetic have no use for them.
    fn set_ranges(&mut self, ranges: &ActivationRanges) {
        let _ = ranges;
    }
}

/// Inference: logits of images.
pub trait Inference: ParameterStore {
    /// Logits `[n, classes]` of `n` images, dropout off.
    ///
    /// # Errors
    /// Not the net's images.
    fn infer(&mut self, images: &[f32], logits: &mut Vec<f32>) -> Result<()>;

    /// Whether [`infer`](Self::infer) is a call that all ranks make together, even one that has no images.
    fn infers_together(&self) -> bool {
        false
    }
}

/// Calibration of inference in bytes.
pub trait Calibration: Inference {
    /// Finds, for up to a batch of images, what each layer's input should be rounded to: the ranges that change these inputs
    /// least in the mean of squares. They are returned, not set: ranges of several batches may be averaged.
    ///
    /// # Errors
    /// Not the net's images, or more than the engine's capacity.
    fn calibrate(&mut self, images: &[f32]) -> Result<ActivationRanges>;
}

/// A whole network on one device: everything that commands ask of an engine which they open by a device's name.
pub trait Engine: Inspection + Gradients {}

impl<E: Inspection + Gradients> Engine for E {}

//! Inference and training engines: engine traits and the CPU engine.
//!
//! An engine implements the traits that it supports. Every engine is a [`ParameterStore`] and supports [`Inference`];
//! [`Inspection`] gives access to activations, [`Training`] runs training steps, and [`Gradients`], for engines that
//! hold the whole net, exposes gradients before the update. [`Engine`] combines all of these, for code that opens a
//! device by name.
//!
//! Parameters are read and written by name (`conv1.weight`) in canonical order: conv [out, in / groups, kernel,
//! kernel], linear [out, in] with in = channel, row, column. An engine may store them in any layout.
//!
//! Images are `[n, 3, size, size]`, row-major, already preprocessed; labels are class numbers.

pub mod accumulation;
pub mod averaging;
mod batch;
pub mod cpu;
pub mod init;
pub mod input;
mod inspection;
mod load;
mod objective;
mod optimizer_step;
mod precision;
pub(crate) mod shards;
pub mod split;
mod training;

pub use self::accumulation::GradientAccumulation;
pub use self::averaging::WeightAveraging;
pub use self::batch::{Batch, BatchShard, DropoutKey, StepStats};
pub use self::inspection::{Activations, FeatureMaps, Inspection, LayerGradient, ReluGradient};
pub use self::load::load_model;
pub use self::objective::{Criterion, MixedLabel, Objective};
pub use self::optimizer_step::OptimizerStep;
pub use self::precision::Precision;
pub use self::training::{Gradients, Training};
pub use alexnet_kernels::optim;

use crate::Result;
use crate::formats::{ActivationRanges, TensorData};
use crate::net::Net;

/// Access to a network's parameters by name, in canonical order.
///
/// Batch normalisation has `bn1.weight` and `bn1.bias`, which are trained like biases, and running statistics,
/// `bn1.running_mean` and `bn1.running_var`.
pub trait ParameterStore {
    /// The network.
    fn net(&self) -> &Net;

    /// Reads a parameter.
    ///
    /// # Errors
    /// An unknown parameter, or one that is sharded over ranks and not gathered.
    fn parameter(&self, name: &str) -> Result<Vec<f32>>;

    /// Writes a parameter.
    ///
    /// # Errors
    /// An unknown parameter, or another number of values.
    fn set_parameter(&mut self, name: &str, values: &[f32]) -> Result<()>;

    /// As [`set_parameter`](Self::set_parameter), but the engine may keep using the values in place instead of
    /// copying them.
    ///
    /// # Errors
    /// Those of [`set_parameter`](Self::set_parameter).
    fn share_parameter(&mut self, name: &str, values: &TensorData) -> Result<()> {
        self.set_parameter(name, values)
    }

    /// Sets the activation ranges of a quantised model. Engines without integer arithmetic ignore them.
    fn set_ranges(&mut self, ranges: &ActivationRanges) {
        let _ = ranges;
    }
}

/// Inference: logits of images.
pub trait Inference: ParameterStore {
    /// Logits `[n, classes]` of `n` images, dropout off.
    ///
    /// # Errors
    /// Images of another size.
    fn infer(&mut self, images: &[f32], logits: &mut Vec<f32>) -> Result<()>;

    /// Whether [`infer`](Self::infer) is a collective call that all ranks must make together, even without images.
    fn infers_together(&self) -> bool {
        false
    }
}

/// Calibration of int8 inference.
pub trait Calibration: Inference {
    /// Finds the quantisation ranges of each layer's input for up to a batch of images: those with the smallest mean
    /// square error. They are returned, not set, so that the ranges of several batches can be averaged.
    ///
    /// # Errors
    /// Images of another size, or more than the engine's capacity.
    fn calibrate(&mut self, images: &[f32]) -> Result<ActivationRanges>;
}

/// A whole network on one device: all traits that commands need of an engine opened by device name.
pub trait Engine: Inspection + Gradients {}

impl<E: Inspection + Gradients> Engine for E {}

//! Options and events of a training run.

use std::fmt;
use std::time::Duration;

use crate::Result;
use crate::engine::ParameterStore;
use crate::eval;
use crate::train::snapshots::Snapshots;
use crate::train::state::{EpochMetrics, RunningTotals};

/// Policy for images that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDecodeError {
    /// List the image in broken.txt and continue without it.
    Skip,
    /// Stop the run.
    Stop,
}

/// Execution options of a run; none of them changes the model.
#[derive(Debug, Clone)]
pub struct TrainerOptions {
    /// Stop after this many steps, counted from the start of the run.
    pub max_steps: Option<u64>,
    /// Interval between saves within an epoch.
    pub save_every: Duration,
    /// Policy for images that cannot be read.
    pub on_bad: OnDecodeError,
    /// Memory limit in bytes for cached outputs of frozen layers; they are cached only if all of them fit. Default: a
    /// quarter of the free memory.
    pub frozen_room: Option<u64>,
    /// Snapshots.
    pub snapshots: Snapshots,
}

/// Progress event of a run.
#[derive(Debug)]
pub enum Event<'a> {
    /// The initial model was validated, before the first step.
    InitialValidation {
        /// Its metrics, as epoch 0.
        row: &'a EpochMetrics,
        /// Validation report.
        validation: Option<&'a eval::Report>,
    },
    /// A step was completed.
    Step {
        /// Current epoch, from 1.
        epoch: usize,
        /// Steps completed in the epoch, and steps per epoch.
        steps: (usize, usize),
        /// Mean training loss of the epoch so far.
        loss: f64,
        /// Top-1 accuracy in training of the epoch so far.
        top1: f64,
        /// Number of images in this step.
        images: usize,
        /// Steps completed since the start of the run.
        step: u64,
        /// Number of steps of the whole run; with a time budget, as planned so far.
        until: u64,
        /// Learning rate of this step.
        lr: f64,
        /// Running totals of the epoch.
        sums: RunningTotals,
    },
    /// An epoch was completed.
    Epoch {
        /// Its metrics.
        row: &'a EpochMetrics,
        /// Whether it is the best so far.
        best: bool,
        /// Training time of the epoch in this process.
        train_time: Duration,
        /// Number of images trained on in this time.
        images: u64,
        /// Validation report, if there are validation images.
        validation: Option<&'a eval::Report>,
        /// The model's parameters.
        weights: Weights<'a>,
    },
    /// An image could not be read; reported once per image.
    Broken {
        /// Name in its data set.
        name: &'a str,
        /// Reason.
        why: &'a str,
    },
}

/// The model's parameters at an event.
#[derive(Clone, Copy)]
pub struct Weights<'a>(pub(super) &'a dyn ParameterStore);

impl Weights<'_> {
    /// Reads a parameter.
    ///
    /// # Errors
    /// An unknown parameter, or one that is sharded over ranks.
    pub fn parameter(&self, name: &str) -> Result<Vec<f32>> {
        self.0.parameter(name)
    }
}

impl fmt::Debug for Weights<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Weights of {}", self.0.net().name)
    }
}

/// Reason why a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// All epochs are complete.
    Done,
    /// No epoch was better than the best one for as long as the recipe's patience.
    EarlyStop,
    /// The requested number of steps was reached.
    MaxSteps,
    /// The run was interrupted; the state is saved.
    Interrupted,
}

/// Average communication and time per step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CommStats {
    /// Number of processes.
    pub ranks: usize,
    /// Bytes sent by all of them together.
    pub bytes_per_step: f64,
    /// Bytes sent by the busiest one.
    pub most_per_step: f64,
    /// Time, excluding image loading.
    pub seconds_per_step: f64,
}

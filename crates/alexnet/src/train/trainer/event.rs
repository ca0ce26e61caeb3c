//! Options of a trainer, and the events of a run.

use std::time::Duration;

use crate::eval;
use crate::train::state::{EpochMetrics, RunningTotals};

/// What to do with an image that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDecodeError {
    /// List it in broken.txt and continue without it.
    Skip,
    /// Stop the run.
    Stop,
}

/// How a run is carried out; nothing here changes a bit of the model.
#[derive(Debug, Clone)]
pub struct TrainerOptions {
    /// Stop after this many steps of the whole run.
    pub max_steps: Option<u64>,
    /// Save the state this often within an epoch.
    pub save_every: Duration,
    /// What to do with an image that cannot be read.
    pub on_bad: OnDecodeError,
    /// Bytes for what frozen layers give: it is kept if all of it has room. None: a quarter of the free memory.
    pub frozen_room: Option<u64>,
}

/// Progress of a run.
#[derive(Debug)]
pub enum Event<'a> {
    /// The model with which the run begins was validated, before the first step.
    InitialValidation {
        /// Its metrics, as epoch 0.
        row: &'a EpochMetrics,
        /// What validation found.
        validation: Option<&'a eval::Report>,
    },
    /// A step is done.
    Step {
        /// Epoch under way, from 1.
        epoch: usize,
        /// Steps done in it, and in all of it.
        steps: (usize, usize),
        /// Mean loss in this epoch so far.
        loss: f64,
        /// Share of this epoch's images so far whose own class came first.
        top1: f64,
        /// Images in this step.
        pictures: usize,
        /// Steps done since the run began.
        step: u64,
        /// Learning rate of this step.
        lr: f64,
        /// Sums over this epoch so far.
        sums: RunningTotals,
    },
    /// An epoch is done.
    Epoch {
        /// Its metrics.
        row: &'a EpochMetrics,
        /// Whether it is the best so far.
        best: bool,
        /// Training time in this process.
        train_time: Duration,
        /// Images trained with in this time.
        pictures: u64,
        /// What validation found, if there are images for it.
        validation: Option<&'a eval::Report>,
    },
    /// An image could not be read, for the first time.
    Broken {
        /// Its name in its set.
        name: &'a str,
        /// Why.
        why: &'a str,
    },
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// All epochs are done.
    Done,
    /// As many steps as asked for are done.
    MaxSteps,
    /// Asked to stop; the state is saved.
    Interrupted,
}

/// What a step took, on average.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CommStats {
    /// Processes.
    pub ranks: usize,
    /// Bytes that all of them together sent to each other.
    pub bytes_per_step: f64,
    /// Bytes that the busiest of them sent.
    pub most_per_step: f64,
    /// Time, without the loading of images.
    pub seconds_per_step: f64,
}

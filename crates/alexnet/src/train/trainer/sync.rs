//! Rank synchronisation between steps, and communication statistics.

use super::CommStats;
use crate::distributed::{self, Communicator, Partition, SingleProcess};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Status that ranks exchange before a step.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct StepStatus {
    /// Number of images in each block.
    pub(super) parts: Vec<usize>,
    /// Images that could not be read, with the reason.
    pub(super) broken: Vec<(u32, String)>,
    /// Whether to stop.
    pub(super) stop: bool,
    /// Whether a save is due.
    pub(super) save: bool,
}

impl StepStatus {
    /// Combines the statuses of two ranks.
    fn and(mut self, mut other: StepStatus) -> StepStatus {
        self.parts.append(&mut other.parts);
        self.broken.append(&mut other.broken);
        StepStatus { stop: self.stop || other.stop, save: self.save || other.save, ..self }
    }
}

/// Keeps the ranks of a run in step, and measures their communication.
pub(super) struct RankSync {
    ranks: Arc<dyn Communicator>,
    /// Whether each rank reads its own shard of a batch.
    shares_batches: bool,
    steps: u64,
    bytes: u64,
    time: Duration,
}

impl RankSync {
    pub(super) fn new(ranks: Arc<dyn Communicator>, cut: Partition) -> RankSync {
        RankSync { ranks, shares_batches: cut.size > 1, steps: 0, bytes: 0, time: Duration::ZERO }
    }

    /// Synchronisation for a single-process run.
    pub(super) fn single_process() -> RankSync {
        RankSync::new(Arc::new(SingleProcess::default()), Partition::WHOLE)
    }

    /// Whether there is only one rank.
    pub(super) fn is_alone(&self) -> bool {
        self.ranks.size() == 1
    }

    pub(super) fn communicator(&self) -> &dyn Communicator {
        &*self.ranks
    }

    /// Combines the statuses of all ranks before a step; `own` is this rank's.
    pub(super) fn sync_step(&self, own: StepStatus) -> Result<StepStatus> {
        if self.is_alone() {
            return Ok(own);
        }
        let all = distributed::all_gather_values(&*self.ranks, &own)?;
        if self.shares_batches {
            return Ok(all.into_iter().fold(StepStatus::default(), StepStatus::and));
        }
        // All ranks have read the whole batch.
        if all.iter().any(|status| (&status.parts, &status.broken) != (&own.parts, &own.broken)) {
            let broken: Vec<&(u32, String)> = all.iter().flat_map(|status| &status.broken).collect();
            return Err(Error::Invalid(format!("unreadable images differ between ranks: {broken:?}")));
        }
        let status = all.into_iter().fold(StepStatus::default(), StepStatus::and);
        Ok(StepStatus { parts: own.parts, broken: own.broken, ..status })
    }

    /// Broadcasts rank 0's answer to a question that all ranks ask.
    pub(super) fn as_first_rank(&self, answer: bool) -> Result<bool> {
        if self.is_alone() { Ok(answer) } else { distributed::broadcast_value(&*self.ranks, &answer) }
    }

    /// Runs a part of a step, the whole or the last one if it `completes` it, and measures its time and communication.
    pub(super) fn measure<T>(&mut self, completes: bool, step: impl FnOnce() -> Result<T>) -> Result<T> {
        let (sent, start) = (self.ranks.sent().bytes(), Instant::now());
        let result = step()?;
        self.steps += u64::from(completes);
        self.bytes += self.ranks.sent().bytes() - sent;
        self.time += start.elapsed();
        Ok(result)
    }

    /// Communication and time per step of all ranks.
    pub(super) fn traffic(&self) -> Result<CommStats> {
        let each = self.steps.max(1) as f64;
        let all = distributed::all_gather_f64(&*self.ranks, [self.bytes as f64 / each])?;
        Ok(CommStats {
            ranks: self.ranks.size(),
            bytes_per_step: all.iter().sum(),
            most_per_step: all.iter().copied().fold(0.0, f64::max),
            seconds_per_step: self.time.as_secs_f64() / each,
        })
    }
}

//! What ranks tell each other between two steps.

use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

use super::Trainer;
use crate::data::loader;
use crate::{Error, Result, distributed};

/// What ranks tell each other before a step.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct StepStatus {
    /// Pictures in each block.
    pub(super) parts: Vec<usize>,
    /// Pictures that could not be read, and why.
    pub(super) broken: Vec<(u32, String)>,
    /// Whether to stop.
    pub(super) stop: bool,
    /// Whether it is time to save.
    pub(super) save: bool,
}

impl StepStatus {
    /// What two neighbours say together.
    fn and(mut self, mut other: StepStatus) -> StepStatus {
        self.parts.append(&mut other.parts);
        self.broken.append(&mut other.broken);
        StepStatus { stop: self.stop || other.stop, save: self.save || other.save, ..self }
    }
}

impl Trainer<'_> {
    /// What all ranks say before a step on `batch`.
    pub(super) fn sync_step(&self, batch: &loader::Batch, stop: &AtomicBool) -> Result<StepStatus> {
        let own = StepStatus {
            parts: batch.parts.clone(),
            broken: batch.broken.clone(),
            stop: stop.load(Ordering::Relaxed),
            save: self.saved.elapsed() >= self.options.save_every,
        };
        if self.ranks.size() == 1 {
            return Ok(own);
        }
        let all = distributed::all_gather_values(&*self.ranks, &own)?;
        if self.loaders.train.cut().size > 1 {
            return Ok(all.into_iter().fold(StepStatus::default(), StepStatus::and));
        }
        // All ranks have read the whole batch.
        if all.iter().any(|word| (&word.parts, &word.broken) != (&own.parts, &own.broken)) {
            let broken: Vec<&(u32, String)> = all.iter().flat_map(|word| &word.broken).collect();
            return Err(Error::Invalid(format!("ranks could not read the same pictures: {broken:?}")));
        }
        let word = all.into_iter().fold(StepStatus::default(), StepStatus::and);
        Ok(StepStatus { parts: own.parts, broken: own.broken, ..word })
    }

    /// What rank 0 thinks.
    pub(super) fn any_rank(&self, what: bool) -> Result<bool> {
        if self.ranks.size() == 1 { Ok(what) } else { distributed::broadcast_value(&*self.ranks, &what) }
    }
}

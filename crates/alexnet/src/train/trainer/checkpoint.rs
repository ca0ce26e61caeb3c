//! Checkpoints of a run: models, state and metrics, and the saving interval.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::engine::{OptimizerStep, Training};
use crate::escape::printable;
use crate::formats::Model;
use crate::train::ema::{Ema, with_average};
use crate::train::recipe::Monitor;
use crate::train::run_dir::RunDir;
use crate::train::snapshots::Snapshots;
use crate::train::state::{State, write_model};
use crate::{Error, Result, files};

/// Minimum interval between end-of-epoch saves of the last model and state: with 57 million parameters a save writes
/// 0.7 GB.
const BETWEEN_SAVES: Duration = Duration::from_secs(20);

/// Inverse of the maximum fraction of time spent saving at epoch ends.
const SHARE_OF_SAVING: u32 = 20;

/// Minimum time from a save that took `took` until an epoch's end is saved again. `save_every` bounds the work that a
/// crash can lose.
fn between_saves(save_every: Duration, took: Duration) -> Duration {
    save_every.min(BETWEEN_SAVES.max(took * SHARE_OF_SAVING))
}

/// Writes the files of a run directory.
pub(super) struct Checkpointer<'a> {
    folder: &'a RunDir,
    /// Model description; its tensors stay empty, because the engine holds them.
    model: Model,
    /// Whether this process writes the run's files; only rank 0 does.
    pub(super) writes: bool,
    save_every: Duration,
    snapshots: Snapshots,
    saved: Instant,
    /// Duration of the last save.
    took: Duration,
}

impl<'a> Checkpointer<'a> {
    pub(super) fn new(folder: &'a RunDir, model: Model, save_every: Duration, snapshots: Snapshots) -> Checkpointer<'a> {
        Checkpointer { folder, model, writes: true, save_every, snapshots, saved: Instant::now(), took: Duration::ZERO }
    }

    /// The model description, without tensors.
    pub(super) fn model(&self) -> &Model {
        &self.model
    }

    /// Whether a save is due in the middle of an epoch.
    pub(super) fn is_due_within_epoch(&self) -> bool {
        self.saved.elapsed() >= self.save_every
    }

    /// Whether a save is due at the end of an epoch.
    pub(super) fn is_due_after_epoch(&self) -> bool {
        self.saved.elapsed() >= between_saves(self.save_every, self.took)
    }

    /// The newest model in the run directory.
    pub(super) fn last_good_model(&self) -> Option<PathBuf> {
        [self.folder.last(), self.folder.best()].into_iter().find(|path| path.exists())
    }

    /// Writes the state, preceded by the last model if requested, so that a state never refers to files that do not
    /// exist. A run killed in between repeats the same steps and writes the same bytes. Collective: all ranks call it
    /// together.
    pub(super) fn save(
        &mut self,
        engine: &mut dyn Training,
        state: &State,
        step: &OptimizerStep,
        ema: &mut Option<Ema>,
        with_model: bool,
    ) -> Result<()> {
        let start = Instant::now();
        engine.gather_parameters(step.optimizer.slots())?;
        if !self.writes {
            self.saved = Instant::now();
            return Ok(());
        }
        if with_model {
            write_model(&self.folder.last(), &self.model, engine, files::Sync::Disk)?;
            let averages = ema.is_some();
            with_average(engine, ema, |engine| {
                if averages {
                    write_model(&self.folder.ema(), &self.model, engine, files::Sync::Disk)?;
                }
                // A run stopped within its first epoch has no best model yet; the end of the epoch writes it.
                if state.best.is_none() {
                    write_model(&self.folder.best(), &self.model, engine, files::Sync::Later)?;
                }
                Ok(())
            })?;
        }
        if state.best.is_some() && self.folder.best().exists() {
            files::force_to_disk(self.folder.best())?;
        }
        files::write_atomic_with(self.folder.metrics(), files::Sync::Disk, |out| out.write_all(state.csv().as_bytes()))?;
        if !state.broken.is_empty() {
            self.write_broken(state)?;
        }
        state.write(&self.folder.state(), &self.model, engine, step, ema.as_ref())?;
        (self.saved, self.took) = (Instant::now(), start.elapsed());
        Ok(())
    }

    /// Writes the model as the best one. Collective: all ranks call it together.
    pub(super) fn save_best(&self, engine: &mut dyn Training) -> Result<()> {
        engine.gather_parameters(&[])?;
        if self.writes { write_model(&self.folder.best(), &self.model, engine, files::Sync::Later) } else { Ok(()) }
    }

    /// Whether the last epoch has a snapshot.
    pub(super) fn snapshot_is_due(&self, state: &State) -> bool {
        state.rows.last().is_some_and(|row| self.snapshots.is_due(row.epoch))
    }

    /// Writes the snapshot of the last epoch, if it remains, and then deletes those that do not. Collective: all ranks call it
    /// together.
    pub(super) fn write_snapshot(&self, engine: &mut dyn Training, state: &State, monitor: Monitor) -> Result<()> {
        let epoch = state.epoch;
        let (kept, others) = self.snapshots.divide(&state.rows, monitor);
        if kept.contains(&epoch) {
            engine.gather_parameters(&[])?;
            if self.writes {
                write_model(&self.folder.snapshot(epoch), &self.model, engine, files::Sync::Disk)?;
            }
        }
        if self.writes {
            for path in others.into_iter().map(|epoch| self.folder.snapshot(epoch)).filter(|path| path.exists()) {
                std::fs::remove_file(&path).map_err(|error| Error::io(&path, error))?;
            }
        }
        Ok(())
    }

    /// Writes the metrics of all epochs.
    pub(super) fn write_metrics(&self, state: &State) -> Result<()> {
        if !self.writes {
            return Ok(());
        }
        files::write_atomic_with(self.folder.metrics(), files::Sync::Later, |out| out.write_all(state.csv().as_bytes()))
    }

    /// Writes the list of images that could not be read.
    pub(super) fn write_broken(&self, state: &State) -> Result<()> {
        if !self.writes {
            return Ok(());
        }
        // One line per image, whatever characters its name contains.
        let line = |(name, why): (&String, &String)| format!("{}: {}\n", printable(name), printable(why));
        let text: String = state.broken.iter().map(line).collect();
        files::write_atomic_with(self.folder.broken(), files::Sync::Later, |out| out.write_all(text.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_saves_are_rarer_but_respect_the_requested_interval() {
        let seconds = |save_every, took| between_saves(Duration::from_secs(save_every), Duration::from_secs(took)).as_secs();
        assert_eq!([seconds(300, 0), seconds(300, 5), seconds(300, 60), seconds(0, 5)], [20, 100, 300, 0]);
    }
}

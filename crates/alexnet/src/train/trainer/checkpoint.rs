//! What a run writes into its folder, and when.

use std::time::{Duration, Instant};

use super::{Event, OnDecodeError, Trainer, rule};
use crate::data::Dataset;
use crate::escape::printable;
use crate::train::state::write_model;
use crate::{Error, Result, files};

/// Epochs that follow each other faster than this share one save of last model and state: with 57 million parameters a
/// save writes 0.7 GB.
const BETWEEN_SAVES: Duration = Duration::from_secs(20);

/// After an epoch, saving may take this share of the time, one in so many.
const SHARE_OF_SAVING: u32 = 20;

/// How long after a save that took so long the end of an epoch is saved again. What a crash can cost is bounded by `save_every`.
pub(super) fn between_saves(save_every: Duration, took: Duration) -> Duration {
    save_every.min(BETWEEN_SAVES.max(took * SHARE_OF_SAVING))
}

impl Trainer<'_> {
    pub(super) fn note_broken(
        &mut self,
        broken: &[(u32, String)],
        source: &dyn Dataset,
        watch: &mut dyn FnMut(Event<'_>),
    ) -> Result<()> {
        let mut news = false;
        for (i, why) in broken {
            let name = source.name(*i as usize);
            if self.options.on_bad == OnDecodeError::Stop {
                return Err(Error::Invalid(format!("{name}: {why} (--on-bad skip goes on without such pictures)")));
            }
            if self.state.broken.insert(name.to_string(), why.clone()).is_none() {
                watch(Event::Broken { name, why });
                news = true;
            }
        }
        if news { self.write_broken() } else { Ok(()) }
    }

    /// Whether this process writes the run's files.
    pub(super) fn writes(&self) -> bool {
        self.ranks.rank() == 0
    }

    /// Makes this process able to write parameters, if it is the one that does.
    pub(super) fn gather_parameters(&mut self) -> Result<()> {
        self.engine.distributed().map_or(Ok(()), |spread| spread.gather_parameters())
    }

    pub(super) fn write_broken(&self) -> Result<()> {
        if !self.writes() {
            return Ok(());
        }
        // A line each, whatever a name holds.
        let line = |(name, why): (&String, &String)| format!("{}: {}\n", printable(name), printable(why));
        let text: String = self.state.broken.iter().map(line).collect();
        files::write_atomic_with(self.folder.broken(), files::Sync::Later, |out| out.write_all(text.as_bytes()))
    }

    pub(super) fn write_metrics(&self, sync: files::Sync) -> Result<()> {
        if !self.writes() {
            return Ok(());
        }
        files::write_atomic_with(self.folder.metrics(), sync, |out| out.write_all(self.state.csv().as_bytes()))
    }

    /// Writes the state, and before it the last model if asked: whoever finds a state finds all that it speaks of. A run
    /// that is killed in between does the same steps again, and writes the same bytes.
    pub(super) fn save(&mut self, with_model: bool) -> Result<()> {
        let start = Instant::now();
        self.gather_parameters()?;
        if !self.writes() {
            self.saved = Instant::now();
            return Ok(());
        }
        if with_model {
            write_model(&self.folder.last(), &self.model, self.engine, files::Sync::Disk)?;
            // A run stopped within its first epoch has no best yet; the next epoch's end writes it anew.
            if self.state.best.is_none() {
                write_model(&self.folder.best(), &self.model, self.engine, files::Sync::Later)?;
            }
        }
        if self.state.best.is_some() && self.folder.best().exists() {
            files::force_to_disk(self.folder.best())?;
        }
        self.write_metrics(files::Sync::Disk)?;
        if !self.state.broken.is_empty() {
            self.write_broken()?;
        }
        let rule = rule(self.recipe, &self.rates, self.position());
        self.state.write(&self.folder.state(), &self.model, self.engine, &rule)?;
        (self.saved, self.save_took) = (Instant::now(), start.elapsed());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_saves_are_rarer_but_never_rarer_than_asked_for() {
        let seconds = |save_every, took| between_saves(Duration::from_secs(save_every), Duration::from_secs(took)).as_secs();
        assert_eq!([seconds(300, 0), seconds(300, 5), seconds(300, 60), seconds(0, 5)], [20, 100, 300, 0]);
    }
}

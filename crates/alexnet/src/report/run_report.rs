//! The report of a run under way and its events for TensorBoard. Neither may stop a training: a failure is one warning.

use super::recorder::{About, Recorder, Writes};
use super::{HostInfo, warning};
use crate::train::{Event, Observer, Started, StopReason};
use crate::{Error, Result};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Writes a run's log, `report.html` and TensorBoard events while it is trained.
pub struct RunReport<W: FnMut(&str)> {
    writes: Writes,
    threads: usize,
    /// None before the run starts, and where the recorder could not begin.
    recorder: Option<Recorder>,
    /// Takes the first warning; one line is enough, however often a full disk is met.
    warn: Option<W>,
}

/// Not even a fault in drawing a report may cost anybody a week of training; its message has been printed.
fn guarded<T>(work: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok()
}

impl<W: FnMut(&str)> RunReport<W> {
    /// A report of a run on `threads` threads; `warn` takes a line if a file cannot be written.
    pub fn new(writes: Writes, threads: usize, warn: W) -> RunReport<W> {
        RunReport { writes, threads, recorder: None, warn: Some(warn) }
    }

    fn warn(&mut self, error: &Error) {
        if let Some(mut warn) = self.warn.take() {
            warn(&warning(error));
        }
    }
}

impl<W: FnMut(&str)> Observer for RunReport<W> {
    /// Ranks other than the first write nothing.
    fn started(&mut self, run: &Started<'_>) -> Result<()> {
        if run.ranks.rank() > 0 {
            return Ok(());
        }
        let about = About {
            config: run.config,
            net: run.net,
            channels: run.loaders.preprocess.channels,
            train: &**run.train,
            val: run.val.clone(),
            steps_per_epoch: run.loaders.train.batches(),
            step: run.step,
            sums: run.state.sums,
            machine: HostInfo::here(&run.config.device, &run.config.precision, self.threads),
        };
        match guarded(|| Recorder::new(run.dir, about, self.writes)) {
            Some(Ok(recorder)) => self.recorder = Some(recorder),
            Some(Err(error)) => self.warn(&error),
            None => (),
        }
        Ok(())
    }

    fn event(&mut self, event: &Event<'_>) {
        let Some(recorder) = &mut self.recorder else { return };
        match guarded(|| recorder.event(event)) {
            Some(Ok(())) => (),
            Some(Err(error)) => self.warn(&error),
            None => self.recorder = None,
        }
    }

    fn stopped(&mut self, ending: &Result<StopReason>) {
        let Some(recorder) = self.recorder.take() else { return };
        if let Some(Err(error)) = guarded(|| recorder.end(ending)) {
            self.warn(&error);
        }
    }
}

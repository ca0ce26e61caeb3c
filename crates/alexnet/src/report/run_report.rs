//! Observer that writes a run's report and TensorBoard events. Failures cannot stop training: they cause one warning.

use super::recorder::{About, Recorder, Writes};
use super::{HostInfo, warning};
use crate::train::{Event, Observer, Started, StopReason};
use crate::{Error, Result};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Observer that writes a run's log, `report.html` and TensorBoard events during training.
pub struct RunReport<W: FnMut(&str)> {
    writes: Writes,
    threads: usize,
    /// `None` before the run starts, and if the recorder could not start.
    recorder: Option<Recorder>,
    /// Receives the first warning; one line is enough, however often a full disk is hit.
    warn: Option<W>,
}

/// Not even a panic while drawing a report may cost a week of training; its message has been printed.
fn guarded<T>(work: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok()
}

impl<W: FnMut(&str)> RunReport<W> {
    /// Creates the observer for a run with `threads` threads; `warn` receives a line if a file cannot be written.
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
            steps_per_epoch: run.steps_per_epoch(),
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

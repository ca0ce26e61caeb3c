//! The report of a run and its events for TensorBoard. Neither may stop a training: a failure is a line of warning.

use super::Args;
use alexnet::data::Dataset;
use alexnet::net::Net;
use alexnet::report::{About, HostInfo, Recorder, Writes, warning};
use alexnet::train::config::Config;
use alexnet::train::loaders::Loaders;
use alexnet::train::run_dir::RunDir;
use alexnet::train::{Event, StopReason, Trainer};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Not even a fault of ours in drawing a report may cost anybody a week of training; its message has been printed.
fn guarded<T>(work: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok()
}

/// A recorder, unless it could not begin.
pub(super) struct RunReport {
    recorder: Option<Recorder>,
    /// One line is enough, however often a full disk is met.
    warned: bool,
}

impl RunReport {
    /// Of a process that writes nothing.
    pub(super) fn nothing() -> RunReport {
        RunReport { recorder: None, warned: true }
    }

    pub(super) fn begin(
        args: &Args,
        config: &Config,
        net: &Net,
        (train, val): (Arc<dyn Dataset>, Arc<dyn Dataset>),
        loaders: &Loaders,
        trainer: &Trainer<'_>,
        folder: &RunDir,
    ) -> RunReport {
        let about = About {
            config,
            net,
            channels: loaders.preprocess.channels,
            train: &*train,
            val,
            steps_per_epoch: loaders.train.batches(),
            step: trainer.step(),
            sums: trainer.state().sums,
            machine: HostInfo::here(&config.device, &config.precision, args.machine.threads),
        };
        let writes = Writes { report: !args.no_report, tensorboard: args.tensorboard };
        let mut recording = RunReport { recorder: None, warned: false };
        match guarded(|| Recorder::new(folder, about, writes)) {
            Some(Ok(recorder)) => recording.recorder = Some(recorder),
            Some(Err(error)) => recording.warn(&error),
            None => (),
        }
        recording
    }

    pub(super) fn event(&mut self, event: &Event<'_>) {
        let Some(recorder) = &mut self.recorder else { return };
        match guarded(|| recorder.event(event)) {
            Some(result) => self.heed(result),
            None => self.recorder = None,
        }
    }

    pub(super) fn end(&mut self, ending: &alexnet::Result<StopReason>) {
        let Some(recorder) = self.recorder.take() else { return };
        if let Some(result) = guarded(|| recorder.end(ending)) {
            self.heed(result);
        }
    }

    fn heed(&mut self, result: alexnet::Result<()>) {
        if let Err(error) = result {
            self.warn(&error);
        }
    }

    fn warn(&mut self, error: &alexnet::Error) {
        if !std::mem::replace(&mut self.warned, true) {
            crate::output::note(&warning(error));
        }
    }
}

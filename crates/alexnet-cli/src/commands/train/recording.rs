//! The report of a run and its events for TensorBoard. Neither may stop a training: a failure is a line of warning.

use super::Args;
use alexnet::data::Source;
use alexnet::net::Net;
use alexnet::report::{About, Machine, Recorder, Writes, warning};
use alexnet::train::config::Config;
use alexnet::train::folder::RunFolder;
use alexnet::train::prepare::Loaders;
use alexnet::train::{Ending, Event, Trainer};
use std::sync::Arc;

/// A recorder, unless it could not begin.
pub(super) struct Recording {
    recorder: Option<Recorder>,
    /// One line is enough, however often a full disk is met.
    warned: bool,
}

impl Recording {
    pub(super) fn begin(
        args: &Args,
        config: &Config,
        net: &Net,
        (train, val): (Arc<dyn Source>, Arc<dyn Source>),
        loaders: &Loaders,
        trainer: &Trainer<'_>,
        folder: &RunFolder,
    ) -> Recording {
        let about = About {
            config,
            net,
            train: &*train,
            val,
            steps_per_epoch: loaders.train.batches(),
            step: trainer.step(),
            sums: trainer.state().sums,
            machine: Machine::here(&config.device, &config.precision, args.machine.threads),
        };
        let writes = Writes { report: !args.no_report, tensorboard: args.tensorboard };
        let mut recording = Recording { recorder: None, warned: false };
        match Recorder::new(folder, about, writes) {
            Ok(recorder) => recording.recorder = Some(recorder),
            Err(error) => recording.warn(&error),
        }
        recording
    }

    pub(super) fn event(&mut self, event: &Event<'_>) {
        if let Some(Err(error)) = self.recorder.as_mut().map(|recorder| recorder.event(event)) {
            self.warn(&error);
        }
    }

    pub(super) fn end(&mut self, ending: &alexnet::Result<Ending>) {
        if let Some(Err(error)) = self.recorder.take().map(|recorder| recorder.end(ending)) {
            self.warn(&error);
        }
    }

    fn warn(&mut self, error: &alexnet::Error) {
        if !std::mem::replace(&mut self.warned, true) {
            eprintln!("{}", warning(error));
        }
    }
}

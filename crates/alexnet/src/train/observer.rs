//! What a run reports while it is prepared and carried out.

use super::config::Config;
use super::finetune::HeadMapping;
use super::loaders::Loaders;
use super::run_dir::RunDir;
use super::state::State;
use super::{CommStats, Event, FrozenPlan, StopReason};
use crate::Result;
use crate::data::Dataset;
use crate::distributed::{Communicator, Parallel};
use crate::net::Net;
use std::sync::Arc;

/// A run that is ready for its first step.
#[derive(Clone, Copy)]
pub struct Started<'a> {
    /// Its settings, as resolved.
    pub config: &'a Config,
    /// Its network.
    pub net: &'a Net,
    /// Training images.
    pub train: &'a Arc<dyn Dataset>,
    /// Validation images, perhaps none.
    pub val: &'a Arc<dyn Dataset>,
    /// How images become the network's input.
    pub loaders: &'a Loaders,
    /// Its folder.
    pub dir: &'a RunDir,
    /// What was chosen because the training set is small, if anything.
    pub adapted: Option<&'static str>,
    /// Which rows of the head come from the model that a new run starts from.
    pub head: Option<&'a HeadMapping>,
    /// How frozen layers at the beginning are computed.
    pub frozen: &'a FrozenPlan,
    /// Where the run stands: at its beginning, or where an earlier process stopped.
    pub state: &'a State,
    /// Steps done since the run began.
    pub step: u64,
    /// The processes that share it.
    pub ranks: &'a dyn Communicator,
    /// How they share it.
    pub parallel: Parallel,
}

/// A run that has stopped; everything is saved.
#[derive(Clone, Copy)]
pub struct Finished<'a> {
    /// Why.
    pub reason: StopReason,
    /// Where it stands.
    pub state: &'a State,
    /// Steps done since it began.
    pub step: u64,
    /// Its folder.
    pub dir: &'a RunDir,
    /// What its steps cost in time and messages.
    pub stats: CommStats,
}

/// Follows a run. Nothing that an observer does changes a bit of the model. Two observers in a pair are one.
pub trait Observer {
    /// Takes a fact about the data that were found: one line.
    fn note(&mut self, line: &str) {
        let _ = line;
    }

    /// Takes a warning: one line.
    fn warning(&mut self, line: &str) {
        let _ = line;
    }

    /// The first step is next.
    ///
    /// # Errors
    /// Anything that shall keep the run from starting.
    fn started(&mut self, run: &Started<'_>) -> Result<()> {
        let _ = run;
        Ok(())
    }

    /// A step or an epoch is done, or an image could not be read.
    fn event(&mut self, event: &Event<'_>) {
        let _ = event;
    }

    /// The last step is done, or an error has ended the run.
    fn stopped(&mut self, ending: &Result<StopReason>) {
        let _ = ending;
    }

    /// All is saved and accounted for.
    fn finished(&mut self, run: &Finished<'_>) {
        let _ = run;
    }
}

/// Follows nothing.
impl Observer for () {}

impl<A: Observer, B: Observer> Observer for (A, B) {
    fn note(&mut self, line: &str) {
        self.0.note(line);
        self.1.note(line);
    }

    fn warning(&mut self, line: &str) {
        self.0.warning(line);
        self.1.warning(line);
    }

    fn started(&mut self, run: &Started<'_>) -> Result<()> {
        self.0.started(run)?;
        self.1.started(run)
    }

    fn event(&mut self, event: &Event<'_>) {
        self.0.event(event);
        self.1.event(event);
    }

    fn stopped(&mut self, ending: &Result<StopReason>) {
        self.0.stopped(ending);
        self.1.stopped(ending);
    }

    fn finished(&mut self, run: &Finished<'_>) {
        self.0.finished(run);
        self.1.finished(run);
    }
}

//! Observers of training runs.

use super::config::Config;
use super::finetune::HeadMapping;
use super::forecast::Forecast;
use super::loaders::Loaders;
use super::run_dir::RunDir;
use super::state::State;
use super::{CommStats, Event, FrozenPlan, StopReason};
use crate::Result;
use crate::data::Dataset;
use crate::distributed::{Communicator, Parallel};
use crate::net::Net;
use std::sync::Arc;

/// A run ready for its first step.
#[derive(Clone, Copy)]
pub struct Started<'a> {
    /// Resolved settings.
    pub config: &'a Config,
    /// Its network.
    pub net: &'a Net,
    /// Training images.
    pub train: &'a Arc<dyn Dataset>,
    /// Validation images, possibly none.
    pub val: &'a Arc<dyn Dataset>,
    /// Preprocessing of images.
    pub loaders: &'a Loaders,
    /// Run folder.
    pub dir: &'a RunDir,
    /// Adaptations to a small training set, if any: keys with their values.
    pub adapted: Option<&'a str>,
    /// Mapping of the head's rows from the model that a new run starts from.
    pub head: Option<&'a HeadMapping>,
    /// Forecast of a new run, if the observer [wants](Observer::wants_forecast) it.
    pub forecast: Option<&'a Forecast>,
    /// Plan for leading frozen layers.
    pub frozen: &'a FrozenPlan,
    /// Progress of the run: initial, or where an earlier process stopped.
    pub state: &'a State,
    /// Number of steps, counted from the start of the run.
    pub step: u64,
    /// Whether nothing is left to do, as in a resumed run that is complete.
    pub complete: bool,
    /// The processes that share the run.
    pub ranks: &'a dyn Communicator,
    /// How they share it.
    pub parallel: Parallel,
}

impl Started<'_> {
    /// Optimizer steps in an epoch.
    pub fn steps_per_epoch(&self) -> usize {
        self.config.recipe.steps_per_epoch(self.loaders.train.batches())
    }
}

/// A stopped run, with everything saved.
#[derive(Clone, Copy)]
pub struct Finished<'a> {
    /// Why it stopped.
    pub reason: StopReason,
    /// Progress of the run.
    pub state: &'a State,
    /// Number of steps, counted from the start of the run.
    pub step: u64,
    /// Run folder.
    pub dir: &'a RunDir,
    /// Time and communication of its steps.
    pub stats: CommStats,
}

/// Observer of a run. Observers cannot change a bit of the model. A pair of observers is an observer.
pub trait Observer {
    /// Whether a new run is measured for about a second before it starts.
    fn wants_forecast(&self) -> bool {
        false
    }

    /// Receives a one-line note about the data.
    fn note(&mut self, line: &str) {
        let _ = line;
    }

    /// Receives a one-line warning.
    fn warning(&mut self, line: &str) {
        let _ = line;
    }

    /// Called before the first step.
    ///
    /// # Errors
    /// Any error prevents the run from starting.
    fn started(&mut self, run: &Started<'_>) -> Result<()> {
        let _ = run;
        Ok(())
    }

    /// Called after a step or an epoch, or when an image could not be read.
    fn event(&mut self, event: &Event<'_>) {
        let _ = event;
    }

    /// Called after the last step, or when an error has ended the run.
    fn stopped(&mut self, ending: &Result<StopReason>) {
        let _ = ending;
    }

    /// Called when everything is saved and evaluated.
    fn finished(&mut self, run: &Finished<'_>) {
        let _ = run;
    }
}

/// Observer that does nothing.
impl Observer for () {}

impl<A: Observer, B: Observer> Observer for (A, B) {
    fn wants_forecast(&self) -> bool {
        self.0.wants_forecast() || self.1.wants_forecast()
    }

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

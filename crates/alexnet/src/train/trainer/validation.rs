//! Evaluation of the model on the validation images.

use super::sync::RankSync;
use crate::Result;
use crate::data::loader::Loader;
use crate::engine::Training;
use crate::eval::{self, Report};
use crate::train::feature_cache::FeatureCache;
use crate::train::state::Validation;
use std::sync::atomic::{AtomicBool, Ordering};

/// Outcome of a validation.
pub(super) enum Validated {
    Found(Validation),
    NoImages,
    Interrupted,
}

/// Evaluates the model and stores the last report.
#[derive(Default)]
pub(super) struct Validator {
    report: Option<Report>,
}

impl Validator {
    /// Evaluates the engine's model; [`Validated::Interrupted`] if `stop` was set meanwhile.
    pub(super) fn run(
        &self,
        ranks: &RankSync,
        engine: &mut dyn Training,
        features: Option<&mut FeatureCache>,
        loader: &Loader,
        classes: &[String],
        stop: &AtomicBool,
    ) -> Result<Option<Report>> {
        // Several ranks stop only between steps, where they can agree on it.
        let alone = ranks.is_alone();
        let mut go_on = |_: usize| !alone || !stop.load(Ordering::Relaxed);
        let report = match features {
            Some(features) => features.evaluate(engine, loader, classes, &mut go_on),
            None => eval::evaluate_on(ranks.communicator(), engine, loader, classes, eval::Options::default(), &mut go_on),
        };
        match report {
            Err(_) if alone && stop.load(Ordering::Relaxed) => Ok(None),
            report => report.map(Some),
        }
    }

    /// Stores a report, and returns its metrics.
    pub(super) fn keep(&mut self, report: Report) -> Validation {
        let validation = Validation::from(&report);
        self.report = Some(report);
        validation
    }

    /// The last report.
    pub(super) fn report(&self) -> Option<&Report> {
        self.report.as_ref()
    }
}

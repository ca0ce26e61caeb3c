//! How good the model is: before the first step, and after each epoch.

use std::sync::atomic::{AtomicBool, Ordering};

use super::{Event, Trainer};
use crate::eval::evaluate_on;
use crate::train::recipe::{Choice, Progress};
use crate::train::state::{BestEpoch, EpochMetrics, RunningTotals, Validation, write_model};
use crate::{Error, Result, files};

/// What came of a validation.
enum Validated {
    Found(Validation),
    NoPictures,
    Interrupted,
}

impl Trainer<'_> {
    /// Validates the model as the run began with it, and takes note. Tells whether it was not interrupted.
    pub(super) fn before(&mut self, stop: &AtomicBool, watch: &mut dyn FnMut(Event<'_>)) -> Result<bool> {
        let val = match self.validate(stop, watch)? {
            Validated::Found(val) => val,
            Validated::NoPictures => return Ok(true),
            Validated::Interrupted => return Ok(false),
        };
        let (lr, train_loss, train_top1, broken) = (None, None, None, self.state.broken.len());
        self.note(EpochMetrics { epoch: 0, step: 0, lr, train_loss, train_top1, val: Some(val), broken })?;
        if let Some(row) = self.state.rows.last() {
            watch(Event::InitialValidation { row, validation: self.validation.as_ref() });
        }
        Ok(true)
    }

    /// Validates, takes note of the epoch and begins the next. Tells whether it was the best; nothing when interrupted.
    pub(super) fn finish_epoch(&mut self, stop: &AtomicBool, watch: &mut dyn FnMut(Event<'_>)) -> Result<Option<bool>> {
        let RunningTotals { loss, correct, pictures } = self.state.sums;
        if pictures == 0 {
            let why = self.state.broken.iter().next().map_or(String::new(), |(name, why)| format!("; {name}: {why}"));
            return Err(Error::Invalid(format!("none of the training pictures could be read{why}")));
        }
        let val = match self.validate(stop, watch)? {
            Validated::Found(val) => Some(val),
            Validated::NoPictures => None,
            Validated::Interrupted => return Ok(None),
        };
        let last_step = Progress { step: self.step().saturating_sub(1), ..self.position() };
        let row = EpochMetrics {
            epoch: self.state.epoch + 1,
            step: self.step(),
            lr: Some(self.recipe.lr_at(last_step)),
            train_loss: Some(loss / pictures as f64),
            train_top1: Some(correct as f64 / pictures as f64),
            val,
            broken: self.state.broken.len(),
        };
        (self.state.epoch, self.state.batch, self.state.sums) = (self.state.epoch + 1, 0, RunningTotals::default());
        self.note(row).map(Some)
    }

    /// Looks at the validation pictures with the model as it is.
    fn validate(&mut self, stop: &AtomicBool, watch: &mut dyn FnMut(Event<'_>)) -> Result<Validated> {
        let Some(loader) = &self.loaders.val else { return Ok(Validated::NoPictures) };
        // Several ranks stop between steps only, where they can agree upon it.
        let alone = self.ranks.size() == 1;
        let mut go_on = |_| !alone || !stop.load(Ordering::Relaxed);
        let report = match &mut self.frozen {
            Some(frozen) => frozen.evaluate(self.engine, loader, &self.model.classes, &mut go_on),
            None => evaluate_on(&*self.ranks, self.engine, loader, &self.model.classes, 1, &mut go_on),
        };
        let report = match report {
            Err(_) if alone && stop.load(Ordering::Relaxed) => return Ok(Validated::Interrupted),
            report => report?,
        };
        self.note_broken(&report.broken, &*self.val.clone(), watch)?;
        if !report.loss.is_finite() {
            return Err(self.diverged("loss of validation"));
        }
        let val = Validation::from(&report);
        self.validation = Some(report);
        Ok(Validated::Found(val))
    }

    /// Takes note of what an epoch came to, and keeps its model if that is the best. Tells whether it is.
    fn note(&mut self, row: EpochMetrics) -> Result<bool> {
        let best = match self.recipe.best {
            Choice::Last => Some(BestEpoch::of(&row)),
            Choice::Validation => self.state.improves(&row),
        };
        if best.is_some() {
            self.gather_parameters()?;
            if self.writes() {
                write_model(&self.folder.best(), &self.model, self.engine, files::Sync::Later)?;
            }
            self.state.best = best;
        }
        self.state.plateau.see(row.top1(), &self.recipe.schedule);
        self.state.rows.push(row);
        self.write_metrics(files::Sync::Later)?;
        Ok(best.is_some())
    }
}

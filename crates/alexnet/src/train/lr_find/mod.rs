//! Learning-rate range test (Smith 2017): a few steps at exponentially growing rates, and rates that the loss suggests.

mod curve;
mod plot;

pub use curve::{LrCurve, LrPoint};

use super::loaders::Loaders;
use super::recipe::{Monitor, Recipe, Schedule};
use super::run::Purpose;
use super::run_dir::RunDir;
use super::state::RunningTotals;
use super::{Environment, Event, Observer, OnDecodeError, Settings, Trainer, TrainerOptions};
use crate::data::Dataset;
use crate::engine::Training;
use crate::{Error, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Learning rates to try.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LrRange {
    /// The first one.
    pub lowest: f64,
    /// The one after the last step.
    pub highest: f64,
    /// Number of steps, unless the loss explodes before.
    pub steps: usize,
}

impl Default for LrRange {
    /// fastai's.
    fn default() -> LrRange {
        LrRange { lowest: 1e-7, highest: 10.0, steps: 100 }
    }
}

impl LrRange {
    /// Checks the range.
    ///
    /// # Errors
    /// A message that names the invalid setting.
    pub fn check(&self) -> Result<()> {
        let LrRange { lowest, highest, steps } = *self;
        if !(lowest > 0.0 && highest > lowest && highest <= 1e6) {
            let message = format!("learning rates from {lowest} to {highest}: expected an ascending range above 0, up to 1e6");
            return Err(Error::Invalid(message));
        }
        if steps < curve::LEAST_STEPS {
            return Err(Error::Invalid(format!("{steps} steps are too few for a curve; take at least {}", curve::LEAST_STEPS)));
        }
        Ok(())
    }

    /// The recipe with these rates.
    fn recipe(&self, recipe: &Recipe, steps_per_epoch: usize) -> Recipe {
        // `steps` steps from the lowest rate to the highest.
        let epochs = self.steps as f64 / steps_per_epoch as f64;
        Recipe {
            lr: self.lowest,
            epochs: self.steps.div_ceil(steps_per_epoch),
            schedule: Schedule::Exponential { epochs, by: self.lowest / self.highest },
            warmup_epochs: 0.0,
            warmup_fraction: 0.0,
            timeline: Vec::new(),
            ..recipe.clone()
        }
    }
}

impl Settings {
    /// Trains for a few steps at growing learning rates, and returns the losses. Nothing is written.
    ///
    /// # Errors
    /// Invalid settings, a run to resume among them, or images that cannot be read.
    pub fn lr_find(&self, range: LrRange, environment: &Environment<'_>, observer: &mut dyn Observer) -> Result<LrCurve> {
        range.check()?;
        if self.resume.is_some() {
            return Err(Error::Invalid("the range test starts a new model; omit the run to resume".into()));
        }
        let mut test = RangeTest { range, curve: None };
        self.prepare_for(Purpose::RangeTest(&mut test), environment, observer)?;
        test.curve.ok_or_else(|| Error::Invalid("the range test did not run".into()))
    }
}

/// A range test, and its result once it has run.
pub(super) struct RangeTest {
    range: LrRange,
    curve: Option<LrCurve>,
}

impl RangeTest {
    /// Removes from a recipe what only matters at an epoch's end, and what mixes images: the loss of a batch that happens to be
    /// mixed is much higher than that of another, whatever the rate.
    pub(super) fn prepare(recipe: &mut Recipe, observer: &mut dyn Observer) {
        if recipe.augment.mixes() {
            observer
                .note("note: mixup and CutMix are off in the range test, because they make the losses of single steps too noisy");
        }
        (recipe.augment.mixup, recipe.augment.cutmix) = (0.0, 0.0);
        (recipe.patience, recipe.monitor, recipe.ema) = (0, Monitor::default(), None);
    }

    /// Runs on an engine with initial parameters.
    pub(super) fn run(
        &mut self,
        engine: &mut dyn Training,
        recipe: &Recipe,
        seed: u64,
        loaders: Loaders,
        train: Arc<dyn Dataset>,
        val: Arc<dyn Dataset>,
    ) -> Result<()> {
        // Without validation between epochs.
        let loaders = Loaders { val: None, ..loaders };
        let own = self.range.recipe(recipe, recipe.steps_per_epoch(loaders.train.batches()).max(1));
        let folder = RunDir::nowhere();
        let options = TrainerOptions {
            max_steps: Some(self.range.steps as u64),
            save_every: Duration::MAX,
            on_bad: OnDecodeError::Skip,
            frozen_room: None,
            snapshots: Default::default(),
        };
        let mut trainer = Trainer::new(engine, &own, seed, &loaders, train, val, &folder, options)?.without_files();
        let (stop, mut curve) = (AtomicBool::new(false), LrCurve::new(recipe.lr, self.range.steps));
        let (mut epoch, mut before) = (0, RunningTotals::default());
        let ending = trainer.run(&stop, &mut |event| {
            let Event::Step { epoch: now, sums, lr, .. } = event else { return };
            if now != epoch {
                (epoch, before) = (now, RunningTotals::default());
            }
            let images = sums.images - before.images;
            let loss = (sums.loss - before.loss) / images as f64;
            before = sums;
            // A batch of which no image could be read has no loss.
            if images > 0 && curve.push(lr, loss) {
                stop.store(true, Ordering::Relaxed);
            }
        });
        match ending {
            // The loss has grown beyond all numbers in one step.
            Err(error) if !curve.points.is_empty() && error.to_string().contains("is not finite") => {
                curve.exploded = true;
            }
            ending => drop(ending?),
        }
        self.curve = Some(curve);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distributed::{Communicator, SingleProcess};
    use crate::train::CpuEngines;

    #[test]
    fn a_recipe_that_needs_validation_or_mixes_images_is_tested_without() {
        struct Notes(Vec<String>);
        impl Observer for Notes {
            fn note(&mut self, line: &str) {
                self.0.push(line.into());
            }
        }
        let ranks: Arc<dyn Communicator> = Arc::new(SingleProcess::default());
        let stop = AtomicBool::new(false);
        let environment = Environment { ranks: &ranks, engines: &CpuEngines, stop: &stop };
        let range = LrRange { lowest: 1e-6, highest: 0.1, steps: 10 };
        let plain = Settings::default().net("slim").image_size(67).batch(4);
        let changes = ["patience=2", "monitor=macro-f1", "augment.mixup=0.4", "augment.cutmix=1", "ema.decay=0.9"];
        let with = changes.into_iter().fold(plain.clone(), Settings::set);
        let (mut quiet, mut notes) = (Notes(Vec::new()), Notes(Vec::new()));
        let curve = plain.lr_find(range, &environment, &mut quiet).unwrap();
        assert_eq!(with.lr_find(range, &environment, &mut notes).unwrap(), curve);
        let mixing = |notes: &Notes| notes.0.iter().filter(|line| line.contains("mixup and CutMix are off")).count();
        assert_eq!((mixing(&quiet), mixing(&notes)), (0, 1), "{:?}", notes.0);
    }

    #[test]
    fn a_range_test_writes_nothing_and_repeats_its_bits() {
        let folder = tempfile::tempdir().unwrap();
        let ranks: Arc<dyn Communicator> = Arc::new(SingleProcess::default());
        let stop = AtomicBool::new(false);
        let environment = Environment { ranks: &ranks, engines: &CpuEngines, stop: &stop };
        let out = folder.path().join("run");
        let settings = |threads| Settings { threads, ..Settings::default().net("slim").image_size(67).batch(4).out(&out) };
        let range = LrRange { lowest: 1e-6, highest: 0.1, steps: 14 };
        let [a, b] = [1, 2].map(|threads| settings(threads).lr_find(range, &environment, &mut ()).unwrap());
        assert_eq!(a, b);
        assert!(!out.exists());
        assert!((a.points[0].lr - 1e-6).abs() < 1e-12 && a.points.len() > 7, "{a:?}");
        let ratio = a.points[1].lr / a.points[0].lr;
        assert!((ratio - 1e5f64.powf(1.0 / 14.0)).abs() < 1e-9, "{ratio}");
        assert!(a.points.windows(2).all(|pair| (pair[1].lr / pair[0].lr - ratio).abs() < 1e-9));
        let resumed = Settings { resume: Some(out), ..Settings::default() };
        assert!(resumed.lr_find(range, &environment, &mut ()).unwrap_err().to_string().contains("omit"));
        for range in [LrRange { lowest: 0.0, ..range }, LrRange { highest: 1e-7, ..range }, LrRange { steps: 2, ..range }] {
            assert!(range.check().is_err(), "{range:?}");
        }
    }
}

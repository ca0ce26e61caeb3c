//! Resumable state of a run in one file: parameters, optimizer state and progress.

use super::ema::Ema;
use super::fold;
use super::image_lists::ImageLists;
use super::recipe::{Monitor, Recipe, ScheduleState};
use super::timeline::Timeline;
use crate::engine::{OptimizerStep, ParameterStore, Training};
use crate::eval::Report;
use crate::formats::{self, Entry, Extra, METADATA_STATE, Model, TensorFile};
use crate::{Error, Result, files};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

/// Progress of a run, stored beside its tensors. It contains no timestamps: equal runs have equal states.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Number of training images; a run cannot be resumed with a different number.
    #[serde(rename = "pictures")]
    pub image_count: usize,
    /// Hashes of the images; `None` in states of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<ImageLists>,
    /// Current epoch, from 0; the number of epochs when the run is complete.
    pub epoch: usize,
    /// Batches completed in it.
    pub batch: usize,
    /// Totals over these batches.
    pub sums: RunningTotals,
    /// Plans and time of a run with a time budget or a timeline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeline: Option<Timeline>,
    /// State of the learning-rate schedule.
    #[serde(alias = "plateau")]
    pub schedule: ScheduleState,
    /// The best epoch so far.
    pub best: Option<BestEpoch>,
    /// Metrics of every completed epoch, preceded by those of the initial model if it was validated.
    pub rows: Vec<EpochMetrics>,
    /// Images that could not be read, with the reason.
    pub broken: BTreeMap<String, String>,
}

/// Totals over the batches of the current epoch.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunningTotals {
    /// Sum of loss times images.
    pub loss: f64,
    /// Number of images whose true class was ranked first.
    pub correct: u64,
    /// Number of images.
    #[serde(rename = "pictures")]
    pub images: u64,
}

/// The best epoch so far.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BestEpoch {
    /// Epoch number, from 1; 0 for the initial model.
    pub epoch: usize,
    /// Top-1 accuracy, on validation images or, without any, in training.
    pub top1: f64,
    /// Loss on the same images.
    pub loss: f64,
}

impl BestEpoch {
    /// The epoch of a row of metrics.
    pub fn of(row: &EpochMetrics) -> BestEpoch {
        BestEpoch { epoch: row.epoch, top1: row.top1(), loss: row.loss() }
    }
}

/// Metrics of an epoch: a row of metrics.csv.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpochMetrics {
    /// Epoch number, from 1; 0 for the initial model, which has only validation metrics.
    pub epoch: usize,
    /// Steps since the start of the run.
    pub step: u64,
    /// Learning rate of the epoch's last step.
    pub lr: Option<f64>,
    /// Mean loss in training, in nats.
    pub train_loss: Option<f64>,
    /// Top-1 accuracy on the augmented training images, with dropout.
    pub train_top1: Option<f64>,
    /// Validation metrics.
    pub val: Option<Validation>,
    /// Number of unreadable images since the start of the run.
    pub broken: usize,
}

/// Validation metrics.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Validation {
    /// Mean loss, in nats.
    pub loss: f64,
    /// Top-1 accuracy.
    pub top1: f64,
    /// Top-5 accuracy.
    pub top5: f64,
    /// Macro-F1; `None` in states of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub macro_f1: Option<f64>,
}

impl From<&Report> for Validation {
    fn from(report: &Report) -> Self {
        Validation { loss: report.loss, top1: report.top1, top5: report.top5, macro_f1: Some(report.macro_average.f1) }
    }
}

impl EpochMetrics {
    /// Top-1 accuracy, on validation images or, without any, in training.
    pub fn top1(&self) -> f64 {
        self.val.map(|val| val.top1).or(self.train_top1).unwrap_or_default()
    }

    /// Loss on the same images.
    pub fn loss(&self) -> f64 {
        self.val.map(|val| val.loss).or(self.train_loss).unwrap_or_default()
    }
}

impl State {
    /// Whether `row` is better than all before by the monitored metric. Without validation the last epoch is taken,
    /// because training metrics include augmentation and dropout.
    pub fn improves(&self, row: &EpochMetrics, monitor: Monitor) -> Option<BestEpoch> {
        let better = row.val.is_none() || self.best_row(monitor).is_none_or(|best| monitor.is_better(row, best));
        better.then_some(BestEpoch::of(row))
    }

    /// The best row by a metric; of equals the first.
    pub fn best_row(&self, monitor: Monitor) -> Option<&EpochMetrics> {
        self.rows.iter().reduce(|best, next| if monitor.is_better(next, best) { next } else { best })
    }

    /// Number of epochs since the best one by a metric; 0 before the first one.
    pub fn epochs_without_improvement(&self, monitor: Monitor) -> usize {
        self.best_row(monitor).map_or(0, |best| self.epoch.saturating_sub(best.epoch))
    }

    /// The rows in the format of metrics.csv. They contain no timings: equal runs have equal files.
    pub fn csv(&self) -> String {
        let mut text = String::from("epoch,step,lr,train_loss,train_top1,val_loss,val_top1,val_top5,val_macro_f1,broken\n");
        for row in &self.rows {
            let val = row.val.map_or(",,,".into(), |v| {
                let macro_f1 = v.macro_f1.map_or(String::new(), |f1| format!("{f1:.6}"));
                format!("{:.6},{:.6},{:.6},{macro_f1}", v.loss, v.top1, v.top5)
            });
            let lr = row.lr.map_or(String::new(), |lr| format!("{lr:e}"));
            let [loss, top1] = [row.train_loss, row.train_top1].map(|v| v.map_or(String::new(), |v| format!("{v:.6}")));
            text += &format!("{},{},{lr},{loss},{top1},{val},{}\n", row.epoch, row.step, row.broken);
        }
        text
    }

    /// Writes the state, the parameters, their average, and the optimizer state of those that train at `step`. `model` describes
    /// the net and needs no tensors. The tensor of a slot of `conv1.weight` is named `SLOT.conv1.weight`.
    ///
    /// # Errors
    /// A file that cannot be written, or a parameter that is not finite; the previous state is then kept.
    pub(in crate::train) fn write(
        &self,
        path: &Path,
        model: &Model,
        engine: &mut dyn Training,
        step: &OptimizerStep,
        ema: Option<&Ema>,
    ) -> Result<()> {
        let json = serde_json::to_string(self).map_err(|e| Error::file(path, format!("cannot serialize the state: {e}")))?;
        let slots = step.optimizer.slots();
        let mut entries = Vec::new();
        for slot in slots {
            let learn = formats::parameters(&model.net)?.into_iter().filter(|(name, _)| step.rates(name).is_some());
            entries.extend(learn.map(|(name, shape)| Entry { name: format!("{slot}.{name}"), shape }));
        }
        if ema.is_some() {
            entries.extend(Ema::entries(model)?);
        }
        let extra = Extra { state: Some(json), entries };
        let of_slot =
            |name: &str| slots.iter().find_map(|slot| Some((*slot, name.strip_prefix(slot)?.strip_prefix('.')?.to_string())));
        formats::write_from(path, model, extra, files::Sync::Disk, &mut |name| match (of_slot(name), ema) {
            (Some((slot, name)), _) => engine.state(&name, slot).map(Cow::Owned),
            (None, Some(ema)) if let Some(name) = Ema::parameter_of(name) => ema.read(engine, name).map(Cow::Owned),
            _ => finite(name, engine.parameter(name)?).map(Cow::Owned),
        })
    }

    /// Reads a state into `engine`, which must run the net of `model` and train the same parameters as `step`.
    ///
    /// # Errors
    /// A file that is not the state of such a run.
    pub(in crate::train) fn read(
        path: &Path,
        model: &Model,
        engine: &mut dyn Training,
        step: &OptimizerStep,
        ema: Option<&mut Ema>,
    ) -> Result<State> {
        let file = TensorFile::open(path)?;
        let Some(json) = file.text(METADATA_STATE) else {
            return Err(Error::file(path, "not the state of a training run"));
        };
        let state = serde_json::from_str(json).map_err(|e| Error::file(path, format!("invalid state: {e}")))?;
        let other = formats::read_description(&file)?;
        if other.classes != model.classes {
            return Err(Error::file(path, other_classes(&other.classes, &model.classes)));
        }
        let differs = [
            (other.net != model.net, "net"),
            (other.preprocess != model.preprocess, "preprocessing or images"),
            (!same_recipe(&other, model), "recipe"),
        ];
        if let Some((_, what)) = differs.into_iter().find(|(differs, _)| *differs) {
            return Err(Error::file(
                path,
                format!("was saved with another {what}; a run can only be resumed with its original settings"),
            ));
        }
        for (name, shape) in formats::parameters(&model.net)? {
            engine.set_parameter(&name, &file.read(&name, &shape)?)?;
            if step.rates(&name).is_some() {
                for slot in step.optimizer.slots() {
                    engine.set_state(&name, slot, &file.read(&format!("{slot}.{name}"), &shape)?)?;
                }
            }
        }
        if let Some(ema) = ema {
            for (name, shape) in formats::parameters(&model.net)? {
                ema.write(engine, &name, &file.read(&Ema::tensor_of(&name), &shape)?)?;
            }
        }
        Ok(state)
    }
}

/// Whether two models were trained with the same recipe, in the format of any version.
fn same_recipe(a: &Model, b: &Model) -> bool {
    let read = |model: &Model| serde_json::from_value::<Recipe>(model.recipe.clone());
    a.recipe == b.recipe || matches!((read(a), read(b)), (Ok(a), Ok(b)) if a == b)
}

/// Message for classes that differ from those of a saved run.
fn other_classes(before: &[String], now: &[String]) -> String {
    let missing = |of: &[String], from: &[String]| of.iter().find(|class| !from.contains(class)).cloned();
    let what = match (missing(before, now), missing(now, before)) {
        (Some(old), Some(new)) => format!("{old} is missing, {new} is new"),
        (Some(old), None) => format!("{old} is missing"),
        (None, Some(new)) => format!("{new} is new"),
        (None, None) => "they are in another order".into(),
    };
    format!(
        "was saved with other classes ({} then, {} now; {what}); a run can only be resumed with its original settings",
        before.len(),
        now.len()
    )
}

/// Model description of a saved state, without parameters.
///
/// # Errors
/// A file that is not the state of a run.
pub fn description(path: &Path) -> Result<Model> {
    let file = TensorFile::open(path)?;
    if file.text(METADATA_STATE).is_none() {
        return Err(Error::file(path, "not the state of a training run"));
    }
    formats::read_description(&file)
}

/// Advice for a loss or parameter that is no longer finite.
pub(in crate::train) const DIVERGED: &str = "try a lower --lr (a third or a tenth), or another --seed";

/// Writes an engine's parameters to a model file, with the batch normalisation that the recipe added folded into the weights.
pub(crate) fn write_model(path: &Path, model: &Model, engine: &dyn ParameterStore, sync: files::Sync) -> Result<()> {
    let added = model.recipe.get("batch_norm") == Some(&true.into());
    let (net, folded) = if added { model.net.without_batch_norm() } else { (model.net.clone(), Vec::new()) };
    let plain = Model { net, ..model.clone() };
    formats::write_from(path, &plain, Extra::default(), sync, &mut |name| match fold::of_parameter(&folded, name) {
        Some(norm) => fold::parameter(engine, name, norm).map(Cow::Owned),
        None => finite(name, engine.parameter(name)?).map(Cow::Owned),
    })
}

/// The values of parameter `name`, if all are finite.
pub(super) fn finite(name: &str, values: Vec<f32>) -> Result<Vec<f32>> {
    if values.iter().all(|v| v.is_finite()) {
        Ok(values)
    } else {
        Err(Error::Invalid(format!("{name} is no longer finite and was not saved; {}", DIVERGED)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_better_epoch_has_the_better_metric_or_then_the_lower_loss() {
        let row = |epoch, top1, loss| EpochMetrics {
            epoch,
            step: 10,
            lr: Some(0.1),
            train_loss: Some(9.0),
            train_top1: Some(1.0),
            val: Some(Validation { loss, top1, top5: 1.0, macro_f1: Some(1.0 - top1) }),
            broken: 0,
        };
        let state = State { epoch: 3, rows: vec![row(1, 0.5, 1.0), row(2, 0.4, 1.5), row(3, 0.3, 1.2)], ..State::default() };
        let improves = |top1, loss, monitor| state.improves(&row(4, top1, loss), monitor).is_some();
        assert!(improves(0.6, 2.0, Monitor::Top1) && improves(0.5, 0.9, Monitor::Top1));
        assert!(!improves(0.5, 1.0, Monitor::Top1) && !improves(0.4, 0.1, Monitor::Top1));
        assert!(improves(0.1, 0.9, Monitor::Loss) && !improves(0.9, 1.0, Monitor::Loss));
        assert!(improves(0.2, 9.0, Monitor::MacroF1) && !improves(0.35, 0.1, Monitor::MacroF1));
        assert!(State::default().improves(&row(1, 0.0, 9.0), Monitor::Top1).is_some());
        assert_eq!([Monitor::Top1, Monitor::Loss, Monitor::MacroF1].map(|m| state.epochs_without_improvement(m)), [2, 2, 0]);
        assert_eq!(State::default().epochs_without_improvement(Monitor::Top1), 0);
    }

    #[test]
    fn rows_of_earlier_versions_have_no_macro_f1() {
        let old = r#"{"loss":1.5,"top1":0.25,"top5":0.75}"#;
        let val: Validation = serde_json::from_str(old).unwrap();
        assert_eq!((val.macro_f1, serde_json::to_string(&val).unwrap().as_str()), (None, old));
        let row =
            EpochMetrics { epoch: 1, step: 9, lr: Some(0.5), train_loss: None, train_top1: None, val: Some(val), broken: 2 };
        let state = State { rows: vec![row], ..State::default() };
        assert!(state.csv().ends_with("\n1,9,5e-1,,,1.500000,0.250000,0.750000,,2\n"), "{}", state.csv());
    }
}

//! All that an interrupted run needs, in one file: parameters, the optimizer's state, and where it stood.

use super::image_lists::ImageLists;
use super::recipe::{Recipe, ScheduleState};
use crate::engine::{OptimizerStep, ParameterStore, Training};
use crate::eval::Report;
use crate::formats::{self, Entry, Extra, METADATA_STATE, Model, TensorFile};
use crate::{Error, Result, files};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

/// Where a run stands, beside its tensors. No clock time: equal runs have equal states.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Images to train with; a run cannot be resumed with others.
    pub pictures: usize,
    /// Hashes of the images; none in the state of an earlier version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<ImageLists>,
    /// Epoch under way, from 0; the number of epochs when all are done.
    pub epoch: usize,
    /// Batches done in it.
    pub batch: usize,
    /// Sums over them.
    pub sums: RunningTotals,
    /// What the learning-rate schedule remembers.
    #[serde(alias = "plateau")]
    pub schedule: ScheduleState,
    /// The best epoch so far.
    pub best: Option<BestEpoch>,
    /// Every epoch done, and before them the model as the run began with it, if that was validated.
    pub rows: Vec<EpochMetrics>,
    /// Images that could not be read, and why.
    pub broken: BTreeMap<String, String>,
}

/// Sums over the batches of the epoch under way.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunningTotals {
    /// Loss times images.
    pub loss: f64,
    /// Images whose own class came first.
    pub correct: u64,
    /// Images.
    pub pictures: u64,
}

/// The best epoch so far.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BestEpoch {
    /// Its number, from 1; 0: the model as the run began with it.
    pub epoch: usize,
    /// Its top-1: of validation, or of training where there is none.
    pub top1: f64,
    /// Its loss.
    pub loss: f64,
}

impl BestEpoch {
    /// The model of this row.
    pub fn of(row: &EpochMetrics) -> BestEpoch {
        BestEpoch { epoch: row.epoch, top1: row.top1(), loss: row.loss() }
    }
}

/// Metrics of an epoch: a row of metrics.csv.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpochMetrics {
    /// Its number, from 1; 0: the model as the run began with it, of which there is validation only.
    pub epoch: usize,
    /// Steps since the run began.
    pub step: u64,
    /// Learning rate of its last step.
    pub lr: Option<f64>,
    /// Mean loss in training, in nats.
    pub train_loss: Option<f64>,
    /// Share of the training images whose own class came first, as they were augmented, dropout on.
    pub train_top1: Option<f64>,
    /// What validation found.
    pub val: Option<Validation>,
    /// Images that could not be read since the run began.
    pub broken: usize,
}

/// What validation found.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Validation {
    /// Mean loss, in nats.
    pub loss: f64,
    /// Share whose own class came first.
    pub top1: f64,
    /// Share whose own class was among the first five.
    pub top5: f64,
}

impl From<&Report> for Validation {
    fn from(report: &Report) -> Self {
        Validation { loss: report.loss, top1: report.top1, top5: report.top5 }
    }
}

impl EpochMetrics {
    /// Its top-1: of validation, or of training where there is none.
    pub fn top1(&self) -> f64 {
        self.val.map(|val| val.top1).or(self.train_top1).unwrap_or_default()
    }

    /// Its loss, likewise.
    pub fn loss(&self) -> f64 {
        self.val.map(|val| val.loss).or(self.train_loss).unwrap_or_default()
    }
}

impl State {
    /// Whether `row` is better than all before: the higher top-1, at equal top-1 the lower loss. Without validation there is nothing
    /// to choose by, as what training saw was augmented and under dropout: then the last one is.
    pub fn improves(&self, row: &EpochMetrics) -> Option<BestEpoch> {
        let (top1, loss) = (row.top1(), row.loss());
        let better =
            row.val.is_none() || self.best.is_none_or(|best| top1 > best.top1 || (top1 == best.top1 && loss < best.loss));
        better.then_some(BestEpoch::of(row))
    }

    /// The rows as metrics.csv has them. No seconds: equal runs have equal files.
    pub fn csv(&self) -> String {
        let mut text = String::from("epoch,step,lr,train_loss,train_top1,val_loss,val_top1,val_top5,broken\n");
        for row in &self.rows {
            let val = row.val.map_or(",,".into(), |v| format!("{:.6},{:.6},{:.6}", v.loss, v.top1, v.top5));
            let lr = row.lr.map_or(String::new(), |lr| format!("{lr:e}"));
            let [loss, top1] = [row.train_loss, row.train_top1].map(|v| v.map_or(String::new(), |v| format!("{v:.6}")));
            text += &format!("{},{},{lr},{loss},{top1},{val},{}\n", row.epoch, row.step, row.broken);
        }
        text
    }

    /// Writes state, parameters and the optimizer's state of those that learn at `step`; `model` describes the net and need not
    /// hold tensors. The tensor of a slot of `conv1.weight` is named `SLOT.conv1.weight`.
    ///
    /// # Errors
    /// When the file cannot be written, or a parameter is not finite: the older state, which is sound, is then kept.
    pub fn write(&self, path: &Path, model: &Model, engine: &dyn Training, step: &OptimizerStep) -> Result<()> {
        let json = serde_json::to_string(self).map_err(|e| Error::file(path, format!("the state cannot be written: {e}")))?;
        let slots = step.optimizer.slots();
        let mut entries = Vec::new();
        for slot in slots {
            let learn = formats::parameters(&model.net)?.into_iter().filter(|(name, _)| step.rates(name).is_some());
            entries.extend(learn.map(|(name, shape)| Entry { name: format!("{slot}.{name}"), shape }));
        }
        let extra = Extra { state: Some(json), entries };
        let of_slot =
            |name: &str| slots.iter().find_map(|slot| Some((*slot, name.strip_prefix(slot)?.strip_prefix('.')?.to_string())));
        formats::write_from(path, model, extra, files::Sync::Disk, &mut |name| match of_slot(name) {
            Some((slot, name)) => engine.state(&name, slot).map(Cow::Owned),
            None => finite(engine, name),
        })
    }

    /// Reads a state back into `engine`, which must run the net that `model` describes and learn as at `step`.
    ///
    /// # Errors
    /// When the file is not the state of such a run.
    pub fn read(path: &Path, model: &Model, engine: &mut dyn Training, step: &OptimizerStep) -> Result<State> {
        let file = TensorFile::open(path)?;
        let Some(json) = file.text(METADATA_STATE) else {
            return Err(Error::file(path, "not the state of a training run"));
        };
        let state = serde_json::from_str(json).map_err(|e| Error::file(path, format!("its state cannot be understood: {e}")))?;
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
                format!("was saved with another {what}; a run can only be resumed with the settings that it began with"),
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
        Ok(state)
    }
}

/// Whether two models were trained by one recipe, in the words of whatever version.
fn same_recipe(a: &Model, b: &Model) -> bool {
    let read = |model: &Model| serde_json::from_value::<Recipe>(model.recipe.clone());
    a.recipe == b.recipe || matches!((read(a), read(b)), (Ok(a), Ok(b)) if a == b)
}

/// How classes differ from those that a run was saved with.
fn other_classes(before: &[String], now: &[String]) -> String {
    let missing = |of: &[String], from: &[String]| of.iter().find(|class| !from.contains(class)).cloned();
    let what = match (missing(before, now), missing(now, before)) {
        (Some(old), Some(new)) => format!("{old} is missing, {new} is new"),
        (Some(old), None) => format!("{old} is missing"),
        (None, Some(new)) => format!("{new} is new"),
        (None, None) => "they are in another order".into(),
    };
    format!(
        "was saved with other classes ({} then, {} now; {what}); a run can only be resumed with the settings that it began with",
        before.len(),
        now.len()
    )
}

/// The model of a run's state, without its parameters.
///
/// # Errors
/// When the file is not the state of a run.
pub fn description(path: &Path) -> Result<Model> {
    let file = TensorFile::open(path)?;
    if file.text(METADATA_STATE).is_none() {
        return Err(Error::file(path, "not the state of a training run"));
    }
    formats::read_description(&file)
}

/// What to try when a loss or a parameter is no longer finite.
pub(in crate::train) const DIVERGED: &str = "try a lower --lr (a third or a tenth), or another --seed";

/// Writes a model file from what an engine holds.
pub(crate) fn write_model(path: &Path, model: &Model, engine: &dyn ParameterStore, sync: files::Sync) -> Result<()> {
    formats::write_from(path, model, Extra::default(), sync, &mut |name| finite(engine, name))
}

fn finite<'a>(engine: &dyn ParameterStore, name: &str) -> Result<Cow<'a, [f32]>> {
    let values = engine.parameter(name)?;
    if values.iter().all(|v| v.is_finite()) {
        Ok(Cow::Owned(values))
    } else {
        Err(Error::Invalid(format!("{name} is no longer finite, so it is not saved; {}", DIVERGED)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_better_epoch_has_the_higher_top_1_or_then_the_lower_loss() {
        let row = |top1, loss| EpochMetrics {
            epoch: 2,
            step: 10,
            lr: Some(0.1),
            train_loss: Some(9.0),
            train_top1: Some(1.0),
            val: Some(Validation { loss, top1, top5: 1.0 }),
            broken: 0,
        };
        let state = State { best: Some(BestEpoch { epoch: 1, top1: 0.5, loss: 1.0 }), ..State::default() };
        assert!(state.improves(&row(0.6, 2.0)).is_some() && state.improves(&row(0.5, 0.9)).is_some());
        assert!(state.improves(&row(0.5, 1.0)).is_none() && state.improves(&row(0.4, 0.1)).is_none());
        assert!(State::default().improves(&row(0.0, 9.0)).is_some());
    }
}

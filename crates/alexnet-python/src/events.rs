//! Progress of a training run, as callbacks receive it.

use alexnet::train::{Event, Started};
use pyo3::prelude::*;
use std::path::PathBuf;

/// Progress of a training run. What does not apply to a kind of event is None.
///
/// Attributes:
///     kind: "note", "warning", "start", "step", "epoch" or "broken" (an image that cannot be read).
///     message: text of a note, a warning or a broken image.
///     epoch, epochs: current epoch, from 1, and their number; epoch 0 is the validated initial model.
///     step, steps: steps since the start of the run, and of the whole run.
///     loss, top1: mean training loss in nats and training accuracy, 0 to 1, of the epoch so far.
///     val_loss, val_top1: the same on the validation images, after an epoch.
///     lr: learning rate of the step.
///     images: number of images in the step, or of training images at the start.
///     seconds: training time of the epoch.
///     best: whether the epoch is the best so far.
///     dir: run folder.
#[pyclass(frozen, get_all, module = "alexnet")]
#[derive(Default)]
pub(crate) struct TrainEvent {
    kind: &'static str,
    message: Option<String>,
    epoch: Option<usize>,
    epochs: Option<usize>,
    step: Option<u64>,
    steps: Option<u64>,
    loss: Option<f64>,
    top1: Option<f64>,
    val_loss: Option<f64>,
    val_top1: Option<f64>,
    lr: Option<f64>,
    images: Option<usize>,
    seconds: Option<f64>,
    best: Option<bool>,
    dir: Option<PathBuf>,
}

#[pymethods]
impl TrainEvent {
    fn __repr__(&self) -> String {
        let mut parts = vec![self.kind.to_string()];
        if let Some(message) = &self.message {
            parts.push(message.clone());
        }
        if let (Some(epoch), Some(epochs)) = (self.epoch, self.epochs) {
            parts.push(format!("epoch {epoch}/{epochs}"));
        }
        if let (Some(step), Some(steps)) = (self.step, self.steps) {
            parts.push(format!("step {step}/{steps}"));
        }
        for (name, value) in [("loss", self.loss), ("val_loss", self.val_loss), ("val_top1", self.val_top1)] {
            if let Some(value) = value {
                parts.push(format!("{name} {value:.4}"));
            }
        }
        format!("<alexnet.TrainEvent {}>", parts.join(", "))
    }
}

impl TrainEvent {
    /// A note, a warning or a broken image.
    pub(crate) fn line(kind: &'static str, message: impl Into<String>) -> TrainEvent {
        TrainEvent { kind, message: Some(message.into()), ..TrainEvent::default() }
    }

    /// The start of a run.
    pub(crate) fn started(run: &Started<'_>) -> TrainEvent {
        let epochs = run.config.recipe.epochs;
        TrainEvent {
            kind: "start",
            epochs: Some(epochs),
            step: Some(run.step),
            steps: Some((epochs * run.steps_per_epoch()) as u64),
            images: Some(run.train.len()),
            dir: Some(run.dir.path().to_path_buf()),
            ..TrainEvent::default()
        }
    }

    /// An event of a run of `epochs` epochs.
    pub(crate) fn of(event: &Event<'_>, epochs: usize) -> TrainEvent {
        match event {
            Event::Step { epoch, loss, top1, images, step, until, lr, .. } => TrainEvent {
                kind: "step",
                epoch: Some(*epoch),
                epochs: Some(epochs),
                step: Some(*step),
                steps: Some(*until),
                loss: Some(*loss),
                top1: Some(*top1),
                lr: Some(*lr),
                images: Some(*images),
                ..TrainEvent::default()
            },
            Event::InitialValidation { row, .. } | Event::Epoch { row, .. } => {
                let (best, seconds) = match event {
                    Event::Epoch { best, train_time, .. } => (Some(*best), Some(train_time.as_secs_f64())),
                    _ => (None, None),
                };
                TrainEvent {
                    kind: "epoch",
                    epoch: Some(row.epoch),
                    epochs: Some(epochs),
                    step: Some(row.step),
                    loss: row.train_loss,
                    top1: row.train_top1,
                    val_loss: row.val.map(|val| val.loss),
                    val_top1: row.val.map(|val| val.top1),
                    lr: row.lr,
                    seconds,
                    best,
                    ..TrainEvent::default()
                }
            }
            Event::Broken { name, why } => TrainEvent::line("broken", format!("{name}: {why}")),
        }
    }
}

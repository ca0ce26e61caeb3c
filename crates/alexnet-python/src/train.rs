//! Training runs.

use crate::errors::{Failure, exception};
use crate::events::TrainEvent;
use crate::process::Process;
use alexnet::Error;
use alexnet::distributed::{Communicator, SingleProcess};
use alexnet::train::{CpuEngines, Environment, Event, Observer, Outcome, Settings, Started, StopReason};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Outcome of a training run.
///
/// Attributes:
///     reason: "done", "early-stop", "max-steps" or "interrupted".
///     dir: run folder.
///     best, last: model files of the best epoch and of the last step, for `alexnet.load`.
///     top1: validation accuracy of the best epoch, 0 to 1; training accuracy without validation images.
///     step: steps since the start of the run.
#[pyclass(frozen, get_all, module = "alexnet")]
pub(crate) struct TrainResult {
    reason: &'static str,
    dir: PathBuf,
    best: PathBuf,
    last: PathBuf,
    top1: Option<f64>,
    step: u64,
}

#[pymethods]
impl TrainResult {
    fn __repr__(&self) -> String {
        let top1 = self.top1.map_or_else(String::new, |top1| format!(", best top-1 {:.2} %", 100.0 * top1));
        format!("<alexnet.TrainResult {}: {} steps{top1}, in {}>", self.reason, self.step, self.dir.display())
    }
}

impl From<Outcome> for TrainResult {
    fn from(outcome: Outcome) -> TrainResult {
        let reason = match outcome.reason {
            StopReason::Done => "done",
            StopReason::EarlyStop => "early-stop",
            StopReason::MaxSteps => "max-steps",
            StopReason::Interrupted => "interrupted",
        };
        let Outcome { dir, best, last, top1, step, .. } = outcome;
        TrainResult { reason, dir, best, last, top1, step }
    }
}

/// The process that has trained: the threads that initialise weights are shared by all runs.
static TRAINED: OnceLock<Process> = OnceLock::new();

/// Trains a network; `alexnet.train` adds progress and a list of callbacks, and describes the settings.
#[pyfunction]
#[pyo3(signature = (data=None, *, callback=None, val=None, data_classes=None, val_share=None, net=None, recipe=None, set=Vec::new(),
    optimizer=None, epochs=None, minutes=None, batch=None, lr=None, image_size=None, from_=None, labels=None, freeze=None,
    lr_times=None, seed=None, precision=None, threads=0, out=None, resume=None, max_steps=None, class_weights=None, balanced=false,
    patience=None))]
#[expect(clippy::too_many_arguments, reason = "keyword arguments in Python")]
pub(crate) fn train(
    py: Python<'_>,
    data: Option<PathBuf>,
    callback: Option<Py<PyAny>>,
    val: Option<PathBuf>,
    data_classes: Option<PathBuf>,
    val_share: Option<f64>,
    net: Option<String>,
    recipe: Option<String>,
    set: Vec<String>,
    optimizer: Option<String>,
    epochs: Option<usize>,
    minutes: Option<f64>,
    batch: Option<usize>,
    lr: Option<f64>,
    image_size: Option<usize>,
    from_: Option<&Bound<'_, PyAny>>,
    labels: Option<PathBuf>,
    freeze: Option<String>,
    lr_times: Option<String>,
    seed: Option<u64>,
    precision: Option<String>,
    threads: usize,
    out: Option<PathBuf>,
    resume: Option<PathBuf>,
    max_steps: Option<u64>,
    class_weights: Option<PathBuf>,
    balanced: bool,
    patience: Option<usize>,
) -> PyResult<TrainResult> {
    TRAINED.get_or_init(Process::current).check("training")?;
    let seconds = |minutes: f64| {
        let invalid = |_| PyValueError::new_err(format!("minutes: expected a positive number, got {minutes}"));
        Duration::try_from_secs_f64(60.0 * minutes).map_err(invalid)
    };
    let settings = Settings {
        data,
        val,
        data_classes,
        val_share,
        net,
        recipe,
        set,
        optimizer,
        epochs,
        time: minutes.map(seconds).transpose()?,
        batch,
        lr,
        image_size,
        from: from_.map(crate::locate::locate).transpose()?,
        labels,
        freeze,
        lr_times,
        seed,
        precision,
        threads,
        out,
        resume,
        max_steps,
        class_weights,
        balanced,
        patience,
        ..Settings::default()
    };
    py.detach(|| run(&settings, callback)).map(TrainResult::from).map_err(PyErr::from)
}

/// Runs the training, which the callback and Ctrl-C stop after the current step, with everything saved.
fn run(settings: &Settings, callback: Option<Py<PyAny>>) -> Result<Outcome, Failure> {
    let ranks: Arc<dyn Communicator> = Arc::new(SingleProcess::default());
    let stop = AtomicBool::new(false);
    let mut follower = Follower { callback, stop: &stop, raised: None, epochs: 0 };
    let outcome = settings.run_in(&Environment { ranks: &ranks, engines: &CpuEngines, stop: &stop }, &mut follower);
    match follower.raised {
        Some(raised) => Err(raised.into()),
        None => Ok(outcome.map_err(exception)?),
    }
}

/// Passes a run's events to Python.
struct Follower<'a> {
    callback: Option<Py<PyAny>>,
    stop: &'a AtomicBool,
    /// What the callback or a signal handler raised.
    raised: Option<PyErr>,
    epochs: usize,
}

impl Follower<'_> {
    fn send(&mut self, event: TrainEvent) {
        if self.raised.is_some() {
            return;
        }
        let sent = Python::attach(|py| {
            py.check_signals()?;
            match &self.callback {
                Some(callback) => Ok(callback.call1(py, (event,))?.bind(py).is(pyo3::types::PyBool::new(py, false))),
                None => Ok(false),
            }
        });
        if sent.as_ref().map_or(true, |stops| *stops) {
            self.stop.store(true, Ordering::Relaxed);
        }
        self.raised = sent.err();
    }
}

impl Observer for Follower<'_> {
    fn note(&mut self, line: &str) {
        self.send(TrainEvent::line("note", line));
    }

    fn warning(&mut self, line: &str) {
        self.send(TrainEvent::line("warning", line));
    }

    fn started(&mut self, run: &Started<'_>) -> alexnet::Result<()> {
        self.epochs = run.config.recipe.epochs;
        self.send(TrainEvent::started(run));
        match self.raised {
            Some(_) => Err(Error::Invalid("stopped by a callback".into())),
            None => Ok(()),
        }
    }

    fn event(&mut self, event: &Event<'_>) {
        self.send(TrainEvent::of(event, self.epochs));
    }
}

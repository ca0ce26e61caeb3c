//! Recorder of a run: log, report and optionally TensorBoard events.

use super::event_log::{self, Ended, Log, Record, now};
use super::filters::Filters;
use super::host_info::HostInfo;
use super::run::Run;
use super::run_page::{Evaluated, Page};
use crate::data::Dataset;
use crate::eval;
use crate::image::Channels;
use crate::net::Net;
use crate::tensorboard::{EventFile, Status};
use crate::train::config::Config;
use crate::train::run_dir::RunDir;
use crate::train::state::{EpochMetrics, RunningTotals};
use crate::train::{Event, StopReason, Weights};
use crate::{Error, Result, files, formats};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Name of the report file.
pub const REPORT: &str = "report.html";

/// Log entries per epoch: enough for a curve, and a log of 15 KB per epoch.
const NOTES: usize = 100;
/// Maximum fraction of time for writing the report, as one in so many.
const SHARE: u32 = 20;
/// Minimum interval of reports after an epoch, and within one.
const BETWEEN_EPOCHS: Duration = Duration::from_secs(1);
const WITHIN_EPOCH: Duration = Duration::from_secs(15);

/// Context of a recorder.
pub struct About<'a> {
    /// Its settings.
    pub config: &'a Config,
    /// Its network.
    pub net: &'a Net,
    /// Channel order of the network's input.
    pub channels: Channels,
    /// Its training images.
    pub train: &'a dyn Dataset,
    /// Its validation images.
    pub val: Arc<dyn Dataset>,
    /// Steps per epoch.
    pub steps_per_epoch: usize,
    /// Number of steps done by earlier processes.
    pub step: u64,
    /// Running sums of the current epoch.
    pub sums: RunningTotals,
    /// Hardware of the run.
    pub machine: HostInfo,
}

/// Optional outputs of a recorder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Writes {
    /// Whether to write `report.html` regularly.
    pub report: bool,
    /// Whether to write TensorBoard events.
    pub tensorboard: bool,
}

impl Writes {
    /// What the run in a folder has written so far, which it continues when it is resumed.
    pub fn of_run(folder: &Path) -> Writes {
        // The first report is written right after the log.
        let report = folder.join(REPORT).is_file() || !folder.join(event_log::FILE).is_file();
        let names = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
        let tensorboard = names.into_iter().any(|name| name.to_string_lossy().starts_with("events.out.tfevents."));
        Writes { report, tensorboard }
    }
}

/// Recorder of a run. It cannot change a bit of the model, even if it fails.
pub struct Recorder {
    folder: PathBuf,
    log: Log,
    report: bool,
    events: Option<EventFile>,
    net: Net,
    val: Arc<dyn Dataset>,
    before: Option<Filters>,
    after: Option<Filters>,
    evaluated: Option<Evaluated>,
    /// An evaluation missing from the page, and its title.
    pending: Option<(String, eval::Report)>,
    /// Steps since the last log entry.
    noted: RunningTotals,
    since: Instant,
    step: u64,
    /// Time of the last report, and how long writing took.
    written: Option<(Instant, Duration)>,
}

impl Recorder {
    /// Logs the start of a process, and writes a first report.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn new(folder: &RunDir, about: About<'_>, writes: Writes) -> Result<Recorder> {
        let mut log = Log::open(folder.path())?;
        let About { config, net, channels, train, val, steps_per_epoch, step, sums, machine } = about;
        let epochs = config.recipe.epochs;
        log.write(&Record::Begin { at: now(), step, epochs, steps_per_epoch, train: train.len(), val: val.len(), machine })?;
        let before = Filters::before(config, net, channels);
        let mut events = if writes.tensorboard { Some(EventFile::create(folder.path(), step)?) } else { None };
        if let Some(events) = &mut events {
            events.hparams(&hparams(&Run::read(folder.path())?))?;
        }
        if let (Some(events), Some(before)) = (&mut events, &before) {
            events.image("filters/before", before.image(), 0)?;
        }
        let after = newest_model(folder.path()).and_then(|path| Filters::in_model(&path));
        let mut recorder = Recorder {
            folder: folder.path().to_path_buf(),
            log,
            report: writes.report,
            events,
            net: net.clone(),
            val,
            before,
            after,
            evaluated: None,
            pending: None,
            noted: sums,
            since: Instant::now(),
            step,
            written: None,
        };
        recorder.write(true)?;
        Ok(recorder)
    }

    /// Records an event of the trainer.
    ///
    /// # Errors
    /// A file cannot be written; training may continue.
    pub fn event(&mut self, event: &Event<'_>) -> Result<()> {
        match event {
            Event::Step { steps: (done, all), step, lr, sums, .. } => {
                self.step = *step;
                if *done == *all || *done % all.div_ceil(NOTES).max(1) == 0 {
                    self.note(*lr, *sums)?;
                }
                if *done == *all {
                    self.noted = RunningTotals::default();
                } else if self.due(WITHIN_EPOCH) {
                    self.write(true)?;
                }
                Ok(())
            }
            Event::InitialValidation { row, validation } => {
                self.scalars(row, None)?;
                self.pending = validation.map(|report| ("Before the first epoch, best so far".into(), report.clone()));
                Ok(())
            }
            Event::Epoch { row, best, train_time, images, validation, weights } => {
                let (epoch, seconds) = (row.epoch, train_time.as_secs_f64());
                self.log.write(&Record::Epoch { at: now(), step: row.step, epoch, images: *images, seconds })?;
                self.scalars(row, Some(*images as f64 / seconds.max(1e-9)))?;
                self.histograms(*weights, row.step)?;
                if *best || (self.evaluated.is_none() && self.pending.is_none()) {
                    let what = if *best { "best so far" } else { "not the best; `alexnet report` evaluates the best" };
                    self.pending = validation.map(|report| (format!("Epoch {epoch}, {what}"), report.clone()));
                    self.after = newest_model(&self.folder).and_then(|path| Filters::in_model(&path));
                    if let (Some(events), Some(after)) = (&mut self.events, &self.after) {
                        events.image("filters/best", after.image(), row.step)?;
                    }
                }
                if self.due(BETWEEN_EPOCHS) {
                    self.write(true)?;
                }
                self.since = Instant::now();
                Ok(())
            }
            Event::Broken { .. } => Ok(()),
        }
    }

    /// Logs the end of the run, and writes the final report.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn end(mut self, ending: &Result<StopReason>) -> Result<()> {
        let ending = match ending {
            Ok(StopReason::Done) => Ended::Done,
            Ok(StopReason::EarlyStop) => Ended::EarlyStop,
            Ok(StopReason::MaxSteps) => Ended::MaxSteps,
            Ok(StopReason::Interrupted) => Ended::Interrupted,
            Err(error) => Ended::Failed(error.to_string()),
        };
        let status = if matches!(ending, Ended::Failed(_)) { Status::Failure } else { Status::Success };
        self.log.write(&Record::End { at: now(), step: self.step, ending })?;
        self.end_events(status)?;
        // A run stopped within its first epoch has a model now.
        if self.after.is_none() {
            self.after = newest_model(&self.folder).and_then(|path| Filters::in_model(&path));
        }
        self.write(false)
    }

    /// Logs the steps since the last entry.
    fn note(&mut self, lr: f64, sums: RunningTotals) -> Result<()> {
        let images = sums.images - self.noted.images;
        let mean = |sum: f64| (images > 0).then(|| sum / images as f64);
        let (loss, top1) = (mean(sums.loss - self.noted.loss), mean((sums.correct - self.noted.correct) as f64));
        let seconds = self.since.elapsed().as_secs_f64();
        (self.noted, self.since) = (sums, Instant::now());
        self.log.write(&Record::Steps { at: now(), step: self.step, lr, loss, top1, images, seconds })?;
        let Some(events) = &mut self.events else { return Ok(()) };
        let mut scalars = vec![("step/learning_rate", lr)];
        scalars.extend(loss.map(|loss| ("step/loss", loss)));
        scalars.extend(top1.map(|top1| ("step/top1", top1)));
        events.scalars(&scalars, self.step)
    }

    fn scalars(&mut self, row: &EpochMetrics, speed: Option<f64>) -> Result<()> {
        let Some(events) = &mut self.events else { return Ok(()) };
        let training = [
            ("loss/train", row.train_loss),
            ("top1/train", row.train_top1),
            ("learning_rate", row.lr),
            ("pictures_per_second", speed),
        ];
        let mut scalars: Vec<_> = training.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        if let Some(val) = row.val {
            scalars.extend([("loss/validation", val.loss), ("top1/validation", val.top1), ("top5/validation", val.top5)]);
            scalars.extend(val.macro_f1.map(|f1| ("macro_f1/validation", f1)));
        }
        events.scalars(&scalars, row.step)
    }

    /// Writes histograms of all parameters, except of those that other ranks hold.
    fn histograms(&mut self, weights: Weights<'_>, step: u64) -> Result<()> {
        let Some(events) = &mut self.events else { return Ok(()) };
        for (name, _) in formats::parameters(&self.net)? {
            if let Ok(values) = weights.parameter(&name) {
                events.histogram(&name, &values, step)?;
            }
        }
        Ok(())
    }

    /// Writes the metrics of the best epoch, and how the run ended.
    fn end_events(&mut self, status: Status) -> Result<()> {
        let Some(events) = &mut self.events else { return Ok(()) };
        if let Some(best) = Run::read(&self.folder)?.best() {
            let metrics =
                [("best/top1", Some(best.top1())), ("best/macro_f1", best.val_macro_f1), ("best/loss", Some(best.loss()))];
            let metrics: Vec<_> = metrics.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
            events.scalars(&metrics, self.step)?;
        }
        events.hparams_end(status)
    }

    fn due(&self, least: Duration) -> bool {
        self.written.is_none_or(|(when, took)| when.elapsed() >= least.max(took * SHARE))
    }

    fn write(&mut self, live: bool) -> Result<()> {
        if !self.report {
            return Ok(());
        }
        let start = Instant::now();
        if let Some((of, report)) = self.pending.take() {
            self.evaluated = Some(Evaluated::new(&of, &report, &*self.val));
        }
        let run = Run::read(&self.folder)?;
        let html = Page {
            run: &run,
            net: Some(&self.net),
            evaluated: self.evaluated.as_ref(),
            before: self.before.as_ref(),
            after: self.after.as_ref(),
            live,
        }
        .html();
        // After a power failure, `alexnet report` recreates it.
        files::write_atomic_with(self.folder.join(REPORT), files::Sync::Later, |out| out.write_all(html.as_bytes()))?;
        self.written = Some((Instant::now(), start.elapsed()));
        Ok(())
    }
}

/// The settings that describe a run, without its files.
fn hparams(run: &Run) -> Vec<(String, String)> {
    let names = ["net", "image_size", "seed", "precision", "from"];
    let is_one = |name: &str| names.contains(&name) || name.strip_prefix("recipe.").is_some();
    run.settings.iter().filter(|(name, _)| is_one(name)).cloned().collect()
}

/// The best model of a run, or the last one without validation.
pub fn newest_model(folder: &Path) -> Option<PathBuf> {
    ["best.safetensors", "last.safetensors"].map(|name| folder.join(name)).into_iter().find(|path| path.is_file())
}

/// Warning about a failed write that training does not need.
pub fn warning(error: &Error) -> String {
    format!("warning: {error}; training continues without it")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::hold_out;
    use crate::engine::ParameterStore;
    use crate::train::loaders::loaders;
    use crate::train::tests::{linear::Linear, squares};
    use crate::train::{OnDecodeError, Trainer, TrainerOptions};
    use std::sync::atomic::{AtomicBool, Ordering};

    const WRITES: Writes = Writes { report: true, tensorboard: true };

    /// Two epochs of 9 steps on noisy squares; stops after `stop_at` steps, and diverges at `breaks_at`.
    fn train(at: &Path, writes: Option<Writes>, stop_at: u64, breaks_at: Option<u64>) -> Result<StopReason> {
        let mut config = crate::report::tests::config();
        (config.recipe.epochs, config.recipe.batch, config.recipe.lr) = (2, 8, 0.05);
        let folder = if at.join("config.toml").exists() { RunDir::open(at)? } else { RunDir::create(at)? };
        config.write(&folder.config())?;
        let (train, val) = hold_out(squares(90, &[]), 0.2);
        let mut engine = Linear::new(8, 3);
        engine.breaks_at = breaks_at;
        let net = engine.net().clone();
        let loaders = loaders(&config.recipe, &net, None, &train, &val, config.seed, 1)?;
        let options = TrainerOptions {
            max_steps: None,
            save_every: Duration::from_secs(3600),
            on_bad: OnDecodeError::Skip,
            frozen_room: None,
            snapshots: Default::default(),
        };
        let stop = AtomicBool::new(false);
        let mut trainer =
            Trainer::new(&mut engine, &config.recipe, config.seed, &loaders, train.clone(), val.clone(), &folder, options)?;
        let about = About {
            config: &config,
            net: &net,
            channels: loaders.preprocess.channels,
            train: &*train,
            val,
            steps_per_epoch: loaders.train.batches(),
            step: trainer.step(),
            sums: trainer.state().sums,
            machine: HostInfo::here("cpu", "f32", 1),
        };
        let mut recorder = writes.map(|writes| Recorder::new(&folder, about, writes)).transpose()?;
        let ending = trainer.run(&stop, &mut |event| {
            if let Some(recorder) = &mut recorder {
                recorder.event(&event).unwrap();
            }
            if matches!(event, Event::Step { step, .. } if step == stop_at) {
                stop.store(true, Ordering::Relaxed);
            }
        });
        recorder.map(|recorder| recorder.end(&ending)).transpose()?;
        ending
    }

    fn count(at: &Path, part: &str) -> usize {
        std::fs::read_dir(at)
            .unwrap()
            .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().contains(part))
            .count()
    }

    #[test]
    fn recording_an_interrupted_run_writes_a_report_and_does_not_change_its_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let [plain, recorded] = ["plain", "recorded"].map(|name| folder.path().join(name));
        assert_eq!(train(&plain, None, 99, None).unwrap(), StopReason::Done);
        let report = || std::fs::read_to_string(recorded.join(REPORT)).unwrap();
        assert_eq!(train(&recorded, Some(WRITES), 5, None).unwrap(), StopReason::Interrupted);
        // Within the first epoch, only per-step curves exist.
        assert!(report().contains("interrupted; can be resumed") && report().contains("Nothing has been validated yet"));
        assert!(report().contains("training, by step") && report().contains("<b>0 of 2</b>"));
        assert_eq!(train(&recorded, Some(WRITES), 99, None).unwrap(), StopReason::Done);
        for name in ["last.safetensors", "best.safetensors", "state.safetensors", "metrics.csv"] {
            assert!(std::fs::read(plain.join(name)).unwrap() == std::fs::read(recorded.join(name)).unwrap(), "{name} differs");
        }
        assert_eq!((count(&plain, "tfevents"), count(&plain, REPORT), count(&recorded, "tfevents")), (0, 0, 2));
        let run = Run::read(&recorded).unwrap();
        let steps: Vec<u64> = run.history.steps.iter().map(|steps| steps.step).collect();
        assert_eq!(steps, (1..=18).collect::<Vec<_>>());
        // The log's means, weighted by their images, give the epoch's mean in metrics.csv.
        let first = run.history.steps[..9].iter().map(|s| s.loss.unwrap() * s.images as f64).sum::<f64>() / 72.0;
        assert!((first - run.epochs[0].train_loss.unwrap()).abs() < 1e-6, "{first}");
        assert_eq!((run.history.processes, run.ended(), run.history.epochs.len()), (2, Some(&Ended::Done), 2));
        let html = report();
        assert!(html.contains("<b>2 of 2</b>") && html.contains("Worst mistakes") && html.contains("blue"));
        assert!(!html.contains("data-live") && html.contains(&format!("{:.2} %", run.best().unwrap().top1() * 100.0)));
    }

    #[test]
    fn a_resumed_run_writes_what_it_wrote_before() {
        let folder = tempfile::tempdir().unwrap();
        let nothing_yet = Writes { report: true, tensorboard: false };
        assert_eq!(Writes::of_run(folder.path()), nothing_yet);
        for (name, report, tensorboard) in [("a", true, false), ("b", false, true), ("c", false, false), ("d", true, true)] {
            let (at, writes) = (folder.path().join(name), Writes { report, tensorboard });
            train(&at, Some(writes), 2, None).unwrap();
            assert_eq!(Writes::of_run(&at), writes);
        }
    }

    #[test]
    fn a_diverged_run_is_reported() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().join("run");
        let error = train(&at, Some(Writes { report: true, tensorboard: false }), 99, Some(12)).unwrap_err().to_string();
        let html = std::fs::read_to_string(at.join(REPORT)).unwrap();
        assert!(error.contains("not finite") && html.contains("failed: the loss is not finite at step"), "{error}");
        assert!(html.contains("<b>1 of 2</b>") && count(&at, "tfevents") == 0);
    }
}

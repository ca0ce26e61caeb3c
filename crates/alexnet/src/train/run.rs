//! A training run, from settings to outcome.

use super::config::Config;
use super::data_sets::data_sets;
use super::ema;
use super::engines::{CpuEngines, EngineRequest, Engines};
use super::finetune::{self, HeadMapping};
use super::fold;
use super::forecast::{Forecast, Upcoming};
use super::loaders::loaders;
use super::lr_find::RangeTest;
use super::observer::{Finished, Observer, Started};
use super::recipe::Recipe;
use super::resolve;
use super::run_dir::RunDir;
use super::run_options;
use super::settings::Settings;
use super::state;
use super::{StopReason, Trainer, TrainerOptions, trainer};
use crate::class_match::LabelOrder;
use crate::distributed::{Communicator, SingleProcess};
use crate::engine::init;
use crate::formats::{self, Model};
use crate::image::{JpegDecoding, Preprocess};
use crate::net::Net;
use crate::{Error, Result, files, labels};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

/// Default parent folder of runs.
pub const RUNS: &str = "runs";

/// Environment of a run: processes, engines and a stop flag.
#[derive(Clone, Copy)]
pub struct Environment<'a> {
    /// The processes that share the run. All call with the same settings; the first one owns the run folder.
    pub ranks: &'a Arc<dyn Communicator>,
    /// Factory of engines.
    pub engines: &'a dyn Engines,
    /// Flag that stops the run after the current step, with everything saved.
    pub stop: &'a AtomicBool,
}

/// What a run is prepared for.
pub(super) enum Purpose<'a> {
    /// The run itself.
    Run,
    /// A range test in its place.
    RangeTest(&'a mut RangeTest),
    /// Its forecast, in its place.
    Forecast(&'a mut Option<Forecast>),
}

/// Outcome of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Why it ended.
    pub reason: StopReason,
    /// Run folder.
    pub dir: PathBuf,
    /// Model of the best epoch.
    pub best: PathBuf,
    /// Model of the last step.
    pub last: PathBuf,
    /// Validation accuracy of the best epoch, 0 to 1; training accuracy without validation; `None` before the end of the first
    /// epoch.
    pub top1: Option<f64>,
    /// Number of steps, counted from the start of the run.
    pub step: u64,
}

impl Settings {
    /// Executes the run in this process on the CPU.
    ///
    /// # Errors
    /// Invalid settings, unreadable images or models, a loss that is not finite, or a full disk. Saved files stay intact.
    pub fn run(&self) -> Result<Outcome> {
        self.run_with(&mut ())
    }

    /// As [`run`](Self::run), with an observer.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn run_with(&self, observer: &mut dyn Observer) -> Result<Outcome> {
        let ranks: Arc<dyn Communicator> = Arc::new(SingleProcess::default());
        self.run_in(&Environment { ranks: &ranks, engines: &CpuEngines, stop: &AtomicBool::new(false) }, observer)
    }

    /// As [`run`](Self::run), as one of several processes or on other devices.
    ///
    /// # Errors
    /// As [`run`](Self::run), or another process has failed.
    pub fn run_in(&self, environment: &Environment<'_>, observer: &mut dyn Observer) -> Result<Outcome> {
        let outcome = self.prepare_for(Purpose::Run, environment, observer)?;
        outcome.ok_or_else(|| Error::Invalid("the run has not started".into()))
    }

    /// Forecast of a new run, measured on a few steps. Nothing is written.
    ///
    /// # Errors
    /// Invalid settings, a run to resume among them, or images that cannot be read.
    pub fn forecast(&self, environment: &Environment<'_>) -> Result<Forecast> {
        if self.resume.is_some() {
            return Err(Error::Invalid("only new runs have a forecast; omit the run to resume".into()));
        }
        let mut forecast = None;
        self.prepare_for(Purpose::Forecast(&mut forecast), environment, &mut ())?;
        forecast.ok_or_else(|| Error::Invalid("the run has no forecast".into()))
    }

    /// Prepares everything for the first step, and does what this is for.
    pub(super) fn prepare_for(
        &self,
        purpose: Purpose<'_>,
        environment: &Environment<'_>,
        observer: &mut dyn Observer,
    ) -> Result<Option<Outcome>> {
        let began = Instant::now();
        let Environment { ranks, engines, stop } = *environment;
        let first = ranks.rank() == 0;
        self.check_paths()?;
        // A resumed run locks its folder at once; a new one creates its folder after all other checks.
        let open = |path: &Path| if first { RunDir::open(path) } else { Ok(RunDir::of_other(path)) };
        let resumed = self.resume.as_deref().map(open).transpose()?;
        let start = self.from.as_deref().map(|path| open_start(path, self.net.as_deref(), observer)).transpose()?;
        // A new run's recipe, with what was stated about it; a resumed one has it resolved.
        let (mut config, chosen) = match &resumed {
            Some(dir) => (resolve::of_run(self, Config::read(&dir.config())?)?, None),
            None => {
                let chosen = resolve::choose(self, start.is_some())?;
                (resolve::anew(self, &chosen, start.as_ref())?, Some(chosen))
            }
        };
        engines.check(&config.device, self.parallel)?;
        if config.time.is_some() && ranks.size() > 1 {
            return Err(Error::Invalid("--time supports one process; give several ranks --epochs".into()));
        }
        let saved = resumed.as_ref().map(RunDir::state).filter(|state| state.exists());
        let start = match (&config.from, start, &saved) {
            (Some(_), _, Some(state)) => Some(state::description(state)?),
            (Some(path), None, None) => Some(open_as(path, &config.net)?),
            (_, start, _) => start,
        };
        let at_size =
            |model| finetune::at_size(model, config.image_size).map_err(|error| error.context("--image-size with --from"));
        let mut start = start.map(at_size).transpose()?;

        let own_split = self.val_share.is_none() && resumed.is_none();
        let (mut train, mut val) = data_sets(&mut config, own_split, observer)?;
        let mut holds_out_more = |chosen| own_split && resolve::more_held_out(self, chosen, &mut config, train.len());
        let more_held_out = chosen.as_ref().is_some_and(&mut holds_out_more);
        if more_held_out {
            (train, val) = data_sets(&mut config, false, &mut ())?;
        }
        let mut adapted = match &chosen {
            Some(chosen) => resolve::adapt(self, chosen, &mut config, train.len(), val.len())?,
            None => None,
        };
        if let Some(chosen) = chosen.as_ref().filter(|chosen| chosen.recipe.batch_norm) {
            // Parts of a batch with a single image cannot be normalised. A recipe that says so is refused below.
            if config.recipe.batch_norm && !chosen.states("batch_norm") {
                let normalised = config.recipe.prepare(config.net()?);
                let parts = self.parallel.partition(&**ranks, config.blocks)?.blocks;
                if fold::check_batches(&normalised, &config.recipe, train.len(), parts).is_err() {
                    config = resolve::without_batch_norm(self, chosen, config)?;
                    adapted = resolve::adapt(self, chosen, &mut config, train.len(), val.len())?;
                }
            }
            if !config.recipe.batch_norm {
                observer.note(
                    "note: batch_norm is off: it needs several images in each part of a batch, and is not for --from, nets that \
                     have their own, and processes that share the layers of the net",
                );
            }
        }
        let adapted = adapted.map(|keys| keys + if more_held_out { "; a fifth of the images for validation" } else { "" });

        let (net, preprocess) = network(&config, start.as_ref(), train.classes().len())?;
        if preprocess.as_ref().map_or(config.recipe.jpeg, |preprocess| preprocess.jpeg) == JpegDecoding::Scaled {
            observer.note("note: large JPEG files are decoded at reduced size (jpeg: scaled), as the model will do from now on");
        }
        let head = match (start.as_mut(), &saved) {
            // A run's state contains its class names.
            (Some(model), Some(_)) => Some(HeadMapping::of(model, train.classes(), LabelOrder::Names)?),
            (Some(model), None) => {
                let order = labels::apply(model, config.labels.as_deref(), config.label_order)?;
                let head = HeadMapping::of(model, train.classes(), order);
                Some(head.map_err(|error| error.context(from_name(&config)))?)
            }
            (None, _) => None,
        };
        match &chosen {
            None => resolve::same_layer_rates(self, &config.recipe, &net)?,
            Some(chosen) => {
                resolve::layer_rates(self, chosen, &mut config.recipe, &net, head.as_ref())?;
                let frozen = resolve::frozen_at_random(&config.recipe, &net, head.as_ref())?;
                if !frozen.is_empty() {
                    observer
                        .warning(&format!("warning: {frozen} are frozen without --from and keep their random initial values"));
                }
            }
        }

        if matches!(purpose, Purpose::RangeTest(_)) {
            RangeTest::prepare(&mut config.recipe, observer);
        }
        trainer::criterion(&config.recipe, !val.is_empty(), &*train)?;
        if chosen.is_some() {
            run_options::check_snapshots(config.snapshots, !val.is_empty())?;
        }
        let partition = self.parallel.partition(&**ranks, config.blocks)?;
        fold::check_batches(&net, &config.recipe, train.len(), partition.blocks)?;
        let loaders = loaders(&config.recipe, &net, preprocess, &train, &val, config.seed, self.threads)?.with_cut(partition);
        let request = EngineRequest {
            net: &net,
            batch: config.recipe.batch.min(train.len()),
            precision: &config.precision,
            device: &config.device,
            threads: self.threads,
            ranks,
            partition,
            parallel: self.parallel,
        };
        let upcoming = Upcoming {
            config: &config,
            net: &net,
            train: &*train,
            val: &*val,
            loaders: &loaders,
            engines,
            request,
            max_steps: self.max_steps,
        };
        if let Purpose::Forecast(forecast) = purpose {
            *forecast = Some(upcoming.forecast()?);
            return Ok(None);
        }
        let wanted = first && resumed.is_none() && observer.wants_forecast();
        let forecast = wanted.then(|| upcoming.forecast()).transpose()?;
        let mut engine = engines.engine(&request)?;
        ema::check(&mut *engine, &config.recipe)?;
        // A resumed run has its parameters in its state.
        match (&saved, &start, &head) {
            (Some(_), _, _) => {}
            (None, Some(model), Some(head)) => finetune::init_from(&mut *engine, model, head, config.seed)?,
            _ => init::initialise(&mut *engine, config.seed)?,
        }
        drop(start);
        if let Purpose::RangeTest(test) = purpose {
            test.run(&mut *engine, &config.recipe, config.seed, loaders, train, val)?;
            return Ok(None);
        }
        let dir = match resumed {
            Some(dir) => dir,
            None => new_dir(self.out.as_deref(), &config, ranks)?,
        };

        let options = TrainerOptions {
            max_steps: self.max_steps,
            save_every: self.save_every,
            on_bad: self.on_decode_error,
            frozen_room: None,
            snapshots: config.snapshots,
        };
        let (train_set, val_set) = (train.clone(), val.clone());
        let mut trainer = Trainer::new(&mut *engine, &config.recipe, config.seed, &loaders, train, val, &dir, options)?;
        trainer = trainer.with_ranks(ranks.clone()).with_lr_changes(&config.lr_changes);
        if let Some(lr) = self.lr.filter(|_| self.resume.is_some()) {
            let before = trainer.lr();
            if let Some(changes) = trainer.change_lr(lr)? {
                config.lr_changes = changes.to_vec();
                if first {
                    config.write(&dir.config())?;
                }
                let step = trainer.step();
                observer.note(&format!(
                    "note: learning rate {lr} instead of {before} from step {} on; the schedule's later rates are multiplied alike",
                    step + 1
                ));
            }
        }
        if let Some(time) = config.time.and_then(|time| Duration::try_from_secs_f64(time).ok()) {
            trainer = trainer.with_time(time, began);
        }
        if saved.is_none() && head.as_ref().is_some_and(HeadMapping::is_known) {
            trainer = trainer.validating_first();
        }
        observer.started(&Started {
            config: &config,
            net: &net,
            train: &train_set,
            val: &val_set,
            loaders: &loaders,
            dir: &dir,
            adapted: adapted.as_deref(),
            head: head.as_ref().filter(|_| saved.is_none()),
            forecast: forecast.as_ref(),
            frozen: trainer.frozen(),
            state: trainer.state(),
            step: trainer.step(),
            complete: trainer.is_complete(),
            ranks: &**ranks,
            parallel: self.parallel,
        })?;
        let ending = trainer.run(stop, &mut |event| observer.event(&event));
        observer.stopped(&ending);
        let (reason, stats) = (ending?, trainer.traffic()?);
        let (state, step) = (trainer.state(), trainer.step());
        // The plans by which a run by the clock went, so that its recipe repeats it.
        if let Some(timeline) = state.timeline.as_ref().filter(|_| first && reason == StopReason::Done) {
            write_recipe(&dir, &Recipe { timeline: timeline.legs.clone(), ..config.recipe.clone() })?;
        }
        observer.finished(&Finished { reason, state, step, dir: &dir, stats });
        let top1 = state.best.map(|best| best.top1);
        Ok(Some(Outcome { reason, dir: dir.path().to_path_buf(), best: dir.best(), last: dir.last(), top1, step }))
    }

    /// Rejects values that cannot be stored in config.toml, before a folder is created.
    fn check_paths(&self) -> Result<()> {
        for path in [&self.data, &self.val, &self.data_root, &self.data_classes, &self.from, &self.labels, &self.out]
            .into_iter()
            .flatten()
        {
            if path.to_str().is_none() {
                return Err(Error::file(
                    path,
                    "its name is not UTF-8 and cannot be stored in the run; rename it or choose another",
                ));
            }
        }
        Ok(())
    }
}

/// The model that a new run starts from. Unused content causes a warning, since it may be what the user meant.
fn open_start(path: &Path, net: Option<&str>, observer: &mut dyn Observer) -> Result<Model> {
    let (model, notes) = formats::load_for_finetuning(path, net)?;
    for note in notes {
        observer.warning(&format!("note: {}: {note}", path.display()));
    }
    Ok(model)
}

/// The model that a resumed run started from. The run provides the net's name; a file that names its net does not need it.
fn open_as(path: &Path, net: &str) -> Result<Model> {
    let open = |net| formats::load_for_finetuning(path, net).map(|(model, _)| model);
    let model = open(Some(net)).or_else(|_| open(None))?;
    if model.net.name != net {
        return Err(Error::file(path, format!("the run started from a {net}, but this is a {}", model.net.name)));
    }
    Ok(model)
}

/// The network for this many classes, and the preprocessing of the initial model.
fn network(config: &Config, start: Option<&Model>, classes: usize) -> Result<(Net, Option<Preprocess>)> {
    let net = match start {
        Some(model) => config.recipe.with_dropout(model.net.clone()),
        None => config.recipe.prepare(config.net()?),
    };
    let preprocess = start.map(|model| Preprocess { jpeg: config.recipe.jpeg, ..model.preprocess.clone() });
    Ok((net.with_classes(classes), preprocess))
}

/// Path of the initial model, for messages.
fn from_name(config: &Config) -> String {
    config.from.as_ref().map_or("--from".into(), |path| path.display().to_string())
}

/// Folder of a new run, created by the first rank.
fn new_dir(out: Option<&Path>, config: &Config, ranks: &Arc<dyn Communicator>) -> Result<RunDir> {
    let not_text = || Error::Invalid("the run folder's name is not UTF-8".into());
    if ranks.rank() > 0 {
        let path = String::from_utf8(ranks.broadcast(&[])?).map_err(|_| not_text())?;
        return Ok(RunDir::of_other(Path::new(&path)));
    }
    let dir = match out {
        Some(path) => RunDir::create(path)?,
        None => RunDir::fresh(Path::new(RUNS), &config.net)?,
    };
    config.write(&dir.config())?;
    write_recipe(&dir, &config.recipe)?;
    ranks.broadcast(dir.path().to_str().ok_or_else(not_text)?.as_bytes())?;
    Ok(dir)
}

/// Writes the resolved recipe for people; the run itself reads config.toml.
fn write_recipe(dir: &RunDir, recipe: &Recipe) -> Result<()> {
    let text = recipe.to_toml()?;
    files::write_atomic(dir.recipe(), |out| out.write_all(text.as_bytes()))
}

//! A run from its settings to its model.

use super::config::Config;
use super::data_sets::data_sets;
use super::engines::{CpuEngines, EngineRequest, Engines};
use super::finetune::{self, HeadMapping};
use super::loaders::loaders;
use super::observer::{Finished, Observer, Started};
use super::resolve;
use super::run_dir::RunDir;
use super::settings::Settings;
use super::state;
use super::{StopReason, Trainer, TrainerOptions};
use crate::class_match::LabelOrder;
use crate::distributed::{Communicator, SingleProcess};
use crate::engine::init;
use crate::formats::{self, Model};
use crate::image::Preprocess;
use crate::net::Net;
use crate::{Error, Result, labels};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// The folder of runs that have no folder of their own.
pub const RUNS: &str = "runs";

/// What a run works with besides its settings.
#[derive(Clone, Copy)]
pub struct Environment<'a> {
    /// The processes that share the run. All of them call with the same settings; the first one has the folder.
    pub ranks: &'a Arc<dyn Communicator>,
    /// Who makes its engine.
    pub engines: &'a dyn Engines,
    /// Set by anybody to stop the run after the step under way, with everything saved.
    pub stop: &'a AtomicBool,
}

/// What has become of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Why it ended.
    pub reason: StopReason,
    /// Its folder.
    pub dir: PathBuf,
    /// The model of its best epoch.
    pub best: PathBuf,
    /// The model of its last step.
    pub last: PathBuf,
    /// Validation accuracy of the best epoch, 0 to 1; of training where nothing is held out; none before the first epoch's end.
    pub top1: Option<f64>,
    /// Steps done since it began.
    pub step: u64,
}

impl Settings {
    /// Carries the run out in this process, on the CPU, to its end.
    ///
    /// # Errors
    /// Settings that cannot work, images or models that cannot be read, a loss that is not finite, a full disk. What was saved stays whole.
    pub fn run(&self) -> Result<Outcome> {
        self.run_with(&mut ())
    }

    /// As [`run`](Self::run), followed by an observer.
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
    /// As [`run`](Self::run), and when another process is gone.
    pub fn run_in(&self, environment: &Environment<'_>, observer: &mut dyn Observer) -> Result<Outcome> {
        let Environment { ranks, engines, stop } = *environment;
        let first = ranks.rank() == 0;
        self.check_paths()?;
        // A resumed run keeps others out from the beginning; a new one makes its folder when all else is known to work.
        let open = |path: &Path| if first { RunDir::open(path) } else { Ok(RunDir::of_other(path)) };
        let resumed = self.resume.as_deref().map(open).transpose()?;
        let start = self.from.as_deref().map(|path| open_start(path, self.net.as_deref(), observer)).transpose()?;
        let mut config = match &resumed {
            Some(dir) => resolve::of_run(self, Config::read(&dir.config())?)?,
            None => resolve::anew(self, start.as_ref())?,
        };
        engines.check(&config.device, self.parallel)?;
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
        let more_held_out = own_split && resolve::more_held_out(self, &mut config, train.len());
        if more_held_out {
            (train, val) = data_sets(&mut config, false, &mut ())?;
        }
        let adapted = resumed.is_none() && resolve::small_set(self, &mut config, train.len(), val.len());
        let adapted = adapted.then_some(match more_held_out {
            true => "batch, learning rate, epochs, warm-up and a larger share to validate with",
            false => "batch, learning rate, epochs and warm-up",
        });

        let (net, preprocess) = network(&config, start.as_ref(), train.classes().len())?;
        let head = match (start.as_mut(), &saved) {
            // The state of a run names its classes.
            (Some(model), Some(_)) => Some(HeadMapping::of(model, train.classes(), LabelOrder::Names)?),
            (Some(model), None) => {
                let order = labels::apply(model, config.labels.as_deref(), config.label_order)?;
                let head = HeadMapping::of(model, train.classes(), order);
                Some(head.map_err(|error| error.context(from_name(&config)))?)
            }
            (None, _) => None,
        };
        match &resumed {
            Some(_) => resolve::same_layer_rates(self, &config.recipe, &net)?,
            None => {
                resolve::layer_rates(self, &mut config.recipe, &net, head.as_ref())?;
                let frozen = resolve::frozen_at_random(&config.recipe, &net, head.as_ref())?;
                if !frozen.is_empty() {
                    observer
                        .warning(&format!("warning: {frozen} are frozen without --from and keep their random initial values"));
                }
            }
        }

        let partition = self.parallel.partition(&**ranks, config.blocks)?;
        let loaders = loaders(&config.recipe, &net, preprocess, &train, &val, config.seed, self.threads)?.with_cut(partition);
        let mut engine = engines.engine(&EngineRequest {
            net: &net,
            batch: config.recipe.batch.min(train.len()),
            precision: &config.precision,
            device: &config.device,
            threads: self.threads,
            ranks,
            partition,
            parallel: self.parallel,
        })?;
        // A resumed run has its parameters in its state.
        match (&saved, &start, &head) {
            (Some(_), _, _) => {}
            (None, Some(model), Some(head)) => finetune::init_from(&mut *engine, model, head, config.seed)?,
            _ => init::initialise(&mut *engine, config.seed)?,
        }
        drop(start);
        let dir = match resumed {
            Some(dir) => dir,
            None => new_dir(self.out.as_deref(), &config, ranks)?,
        };

        let options = TrainerOptions {
            max_steps: self.max_steps,
            save_every: self.save_every,
            on_bad: self.on_decode_error,
            frozen_room: None,
        };
        let (train_set, val_set) = (train.clone(), val.clone());
        let mut trainer = Trainer::new(&mut *engine, &config.recipe, config.seed, &loaders, train, val, &dir, options)?;
        trainer = trainer.with_ranks(ranks.clone());
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
            adapted,
            head: head.as_ref().filter(|_| saved.is_none()),
            frozen: trainer.frozen(),
            state: trainer.state(),
            step: trainer.step(),
            ranks: &**ranks,
            parallel: self.parallel,
        })?;
        let ending = trainer.run(stop, &mut |event| observer.event(&event));
        observer.stopped(&ending);
        let (reason, stats) = (ending?, trainer.traffic()?);
        let (state, step) = (trainer.state(), trainer.step());
        observer.finished(&Finished { reason, state, step, dir: &dir, stats });
        let top1 = state.best.map(|best| best.top1);
        Ok(Outcome { reason, dir: dir.path().to_path_buf(), best: dir.best(), last: dir.last(), top1, step })
    }

    /// What cannot be written into config.toml is refused before a folder is made.
    fn check_paths(&self) -> Result<()> {
        for path in [&self.data, &self.val, &self.from, &self.labels, &self.out].into_iter().flatten() {
            if path.to_str().is_none() {
                return Err(Error::file(path, "its name is not UTF-8, and a run cannot keep it; rename it or choose another"));
            }
        }
        Ok(())
    }
}

/// The model that a new run starts from. What of the file is not used is a warning: it may be what was meant.
fn open_start(path: &Path, net: Option<&str>, observer: &mut dyn Observer) -> Result<Model> {
    let (model, notes) = formats::load_for_finetuning(path, net)?;
    for note in notes {
        observer.warning(&format!("note: {}: {note}", path.display()));
    }
    Ok(model)
}

/// The model that a resumed run starts from, whose net the run knows; a file that names its net itself does not need it.
fn open_as(path: &Path, net: &str) -> Result<Model> {
    let open = |net| formats::load_for_finetuning(path, net).map(|(model, _)| model);
    let model = open(Some(net)).or_else(|_| open(None))?;
    if model.net.name != net {
        return Err(Error::file(path, format!("the run began with a {net}, and this is a {}", model.net.name)));
    }
    Ok(model)
}

/// The network for this many classes, and the preprocessing of the model that it starts from.
fn network(config: &Config, start: Option<&Model>, classes: usize) -> Result<(Net, Option<Preprocess>)> {
    let net = match start {
        Some(model) => model.net.clone(),
        None => config.recipe.prepare(config.net()?),
    };
    Ok((net.with_classes(classes), start.map(|model| model.preprocess.clone())))
}

/// The model that a run starts from, for messages.
fn from_name(config: &Config) -> String {
    config.from.as_ref().map_or("--from".into(), |path| path.display().to_string())
}

/// The folder of a new run, which the first rank makes.
fn new_dir(out: Option<&Path>, config: &Config, ranks: &Arc<dyn Communicator>) -> Result<RunDir> {
    let not_text = || Error::Invalid("the run's folder has a name that is not text".into());
    if ranks.rank() > 0 {
        let path = String::from_utf8(ranks.broadcast(&[])?).map_err(|_| not_text())?;
        return Ok(RunDir::of_other(Path::new(&path)));
    }
    let dir = match out {
        Some(path) => RunDir::create(path)?,
        None => RunDir::fresh(Path::new(RUNS), &config.net)?,
    };
    config.write(&dir.config())?;
    ranks.broadcast(dir.path().to_str().ok_or_else(not_text)?.as_bytes())?;
    Ok(dir)
}

//! Carries a recipe out: epochs, steps, validation, files.

mod checkpoint;
mod event;
mod sync;
mod validation;

pub use self::event::{CommStats, Event, OnDecodeError, StopReason, TrainerOptions};
use super::feature_cache::{self, FeatureCache, Plan};
use super::image_lists::ImageLists;
use super::loaders::Loaders;
use super::param_groups;
use super::recipe::{Progress, Recipe};
use super::run_dir::RunDir;
use super::state::{RunningTotals, State};
use crate::data::{Dataset, loader};
use crate::distributed::{self, BatchShard, Communicator, SingleProcess};
use crate::engine::{Batch, DropoutKey, Engine, Update};
use crate::eval;
use crate::formats::Model;
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

/// What to try when a loss or a parameter is no longer finite.
pub(in crate::train) const DIVERGED: &str = "try a lower --lr (a third or a tenth), or another --seed";

/// A training run.
pub struct Trainer<'a> {
    engine: &'a mut dyn Engine,
    recipe: &'a Recipe,
    /// How fast each layer learns.
    rates: BTreeMap<String, f32>,
    plan: Plan,
    frozen: Option<FeatureCache>,
    seed: u64,
    /// Describes the net; its tensors stay empty, the engine has them.
    model: Model,
    loaders: &'a Loaders,
    train: Arc<dyn Dataset>,
    val: Arc<dyn Dataset>,
    folder: &'a RunDir,
    options: TrainerOptions,
    ranks: Arc<dyn Communicator>,
    /// Steps of this process, the bytes that it sent in them, the time they took.
    spent: (u64, u64, Duration),
    state: State,
    /// What the last validation found.
    validation: Option<eval::Report>,
    /// Whether the model is validated before the first step.
    validates_first: bool,
    saved: Instant,
    /// How long the last save took.
    save_took: Duration,
}

impl<'a> Trainer<'a> {
    /// A trainer for an engine whose parameters are set. If the folder holds a state, the run goes on from there.
    ///
    /// # Errors
    /// When the recipe cannot work, or the folder's state is of another run.
    #[allow(clippy::too_many_arguments, reason = "each is a thing of its own, made once, by the command")]
    pub fn new(
        engine: &'a mut dyn Engine,
        recipe: &'a Recipe,
        seed: u64,
        loaders: &'a Loaders,
        train: Arc<dyn Dataset>,
        val: Arc<dyn Dataset>,
        folder: &'a RunDir,
        options: TrainerOptions,
    ) -> Result<Self> {
        recipe.check()?;
        engine.prepare_training();
        let model = Model {
            net: engine.net().clone(),
            preprocess: loaders.preprocess.clone(),
            classes: train.classes().to_vec(),
            recipe: serde_json::to_value(recipe).map_err(|e| Error::Invalid(format!("the recipe cannot be written: {e}")))?,
            ranges: Default::default(),
            tensors: Default::default(),
        };
        let rates = param_groups::rates(&model.net, &recipe.layer_rates)?;
        let room = options.frozen_room.unwrap_or_else(loader::default_memory);
        let plan = Plan::new(&model.net, &rates, loaders, engine.split().is_some(), room)?;
        let frozen = FeatureCache::new(&plan, loaders);
        let images = ImageLists::of(&*train, &*val);
        let mut state = State { pictures: train.len(), ..State::default() };
        if folder.state().exists() {
            state = State::read(&folder.state(), &model, engine, &rule(recipe, &rates, Progress::default()))?;
            if state.pictures != train.len() {
                let message = format!("was saved with {} training pictures, now there are {}", state.pictures, train.len());
                return Err(Error::file(folder.state(), message));
            }
            if let Some(difference) = state.images.as_ref().and_then(|before| before.difference(&images)) {
                let advice =
                    "a run goes on only with its own images; put them back, or begin a new run --from its last.safetensors";
                return Err(Error::file(folder.state(), format!("was saved with {difference}; {advice}")));
            }
        }
        state.images = Some(images);
        let (validation, saved) = (None, Instant::now());
        Ok(Trainer {
            engine,
            recipe,
            rates,
            plan,
            frozen,
            seed,
            model,
            loaders,
            train,
            val,
            folder,
            options,
            ranks: Arc::new(SingleProcess::default()),
            spent: (0, 0, Duration::ZERO),
            state,
            validation,
            validates_first: false,
            saved,
            save_took: Duration::ZERO,
        })
    }

    /// The same trainer for a run whose model knows its classes already. It is validated before the first step, as epoch 0, and
    /// stays the best model until an epoch beats it: not every training on few pictures makes a model better.
    #[must_use]
    pub fn validating_first(mut self) -> Self {
        self.validates_first = true;
        self
    }

    /// The same trainer as one of several ranks, whose engine is [spread](Engine::distributed) over them and whose loaders are
    /// [cut](Loaders::with_cut) for them. All ranks train alike; rank 0 writes the files.
    #[must_use]
    pub fn with_ranks(mut self, ranks: Arc<dyn Communicator>) -> Self {
        self.ranks = ranks;
        self
    }

    /// How its frozen layers are dealt with.
    pub fn frozen(&self) -> &Plan {
        &self.plan
    }

    /// Where the run stands.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Steps done since the run began.
    pub fn step(&self) -> u64 {
        (self.state.epoch * self.loaders.train.batches() + self.state.batch) as u64
    }

    /// What the steps of this process and of all other ranks took; all must ask.
    ///
    /// # Errors
    /// When another rank is gone.
    pub fn traffic(&self) -> Result<CommStats> {
        let (steps, bytes, time) = self.spent;
        let each = steps.max(1) as f64;
        let all = distributed::all_gather_f64(&*self.ranks, [bytes as f64 / each])?;
        Ok(CommStats {
            ranks: self.ranks.size(),
            bytes_per_step: all.iter().sum(),
            most_per_step: all.iter().copied().fold(0.0, f64::max),
            seconds_per_step: time.as_secs_f64() / each,
        })
    }

    /// Trains until all epochs or the most steps are done, or `stop` is set; then everything is saved.
    ///
    /// # Errors
    /// A loss that is not finite, a picture that cannot be read where that shall stop the run, or a file that cannot be
    /// written. What was saved before stays whole.
    pub fn run(&mut self, stop: &AtomicBool, watch: &mut dyn FnMut(Event<'_>)) -> Result<StopReason> {
        if self.validates_first && self.state.rows.is_empty() && self.step() == 0 && !self.before(stop, watch)? {
            // Nothing is saved: a run that goes on without a state begins with the same model, and with this validation.
            return Ok(StopReason::Interrupted);
        }
        let mut begun = None;
        while self.state.epoch < self.recipe.epochs {
            let (start, before) = (Instant::now(), self.state.sums.pictures);
            if let Some(ending) = self.steps(stop, watch)? {
                self.save(ending == StopReason::MaxSteps)?;
                return Ok(ending);
            }
            let (train_time, pictures) = (start.elapsed(), self.state.sums.pictures - before);
            let Some(best) = self.finish_epoch(stop, watch)? else {
                self.save(false)?;
                return Ok(StopReason::Interrupted);
            };
            let row = &self.state.rows[self.state.rows.len() - 1];
            watch(Event::Epoch { row, best, train_time, pictures, validation: self.validation.as_ref() });
            begun = Some(());
            let due = checkpoint::between_saves(self.options.save_every, self.save_took);
            if self.state.epoch < self.recipe.epochs && self.any_rank(self.saved.elapsed() >= due)? {
                self.save(true)?;
            }
        }
        // Nothing is written again where all was done before.
        if begun.is_some() {
            self.save(true)?;
        }
        Ok(StopReason::Done)
    }

    /// The steps that are left of the epoch under way. Tells why it stopped before its end, if so.
    fn steps(&mut self, stop: &AtomicBool, watch: &mut dyn FnMut(Event<'_>)) -> Result<Option<StopReason>> {
        let all = self.loaders.train.batches();
        let epoch = self.state.epoch as u64;
        let mut batches = match self.frozen {
            Some(_) => Batches::Kept(self.loaders.train.plan(epoch)),
            None => Batches::Ahead(self.loaders.train.epoch(epoch, self.state.batch)),
        };
        while self.state.batch < all {
            if self.options.max_steps.is_some_and(|most| self.step() >= most) {
                return Ok(Some(StopReason::MaxSteps));
            }
            let batch = self.next(&mut batches)?.ok_or_else(|| {
                Error::Invalid(
                    "the loader stopped before the end of an epoch; the system may start no more threads (ulimit -u)".into(),
                )
            })?;
            let heard = self.sync_step(&batch, stop)?;
            if heard.stop {
                return Ok(Some(StopReason::Interrupted));
            }
            self.note_broken(&heard.broken, &*self.train.clone(), watch)?;
            let lr = self.recipe.lr_at(self.position());
            self.train_on(&batch, &heard.parts)?;
            self.state.batch += 1;
            let RunningTotals { loss, correct, pictures } = self.state.sums;
            let n = pictures.max(1) as f64;
            watch(Event::Step {
                epoch: self.state.epoch + 1,
                steps: (self.state.batch, all),
                loss: loss / n,
                top1: correct as f64 / n,
                pictures: heard.parts.iter().sum(),
                step: self.step(),
                lr,
                sums: self.state.sums,
            });
            if self.state.batch < all && heard.save {
                self.save(false)?;
            }
        }
        Ok(None)
    }

    /// The next batch of the epoch under way: of images, or of what frozen layers made of them.
    fn next(&mut self, batches: &mut Batches) -> Result<Option<loader::Batch>> {
        match (batches, &mut self.frozen) {
            (Batches::Ahead(batches), _) => Ok(batches.next()),
            (Batches::Kept(plan), Some(frozen)) => {
                let Some(pictures) = plan.get(self.state.batch) else { return Ok(None) };
                frozen.batch(self.engine, &self.loaders.train, self.state.epoch as u64, pictures).map(Some)
            }
            (Batches::Kept(_), None) => Ok(None),
        }
    }

    fn position(&self) -> Progress {
        Progress {
            epoch: self.state.epoch,
            step: self.step(),
            steps_per_epoch: self.loaders.train.batches() as u64,
            drops: self.state.plateau.drops,
        }
    }

    /// One step on a batch of which this rank has a part; `blocks` are the pictures in each block of the whole. A batch of which
    /// every picture is broken is none.
    fn train_on(&mut self, batch: &loader::Batch, blocks: &[usize]) -> Result<()> {
        let n = blocks.iter().sum::<usize>();
        if n == 0 {
            return Ok(());
        }
        let rule = rule(self.recipe, &self.rates, self.position());
        let cut = self.loaders.train.cut();
        let first_picture = blocks[..cut.blocks_of(cut.rank).start].iter().sum::<usize>() as u64;
        let dropout = Some(DropoutKey { seed: self.seed, step: self.step(), first_picture });
        let (images, labels) = (&batch.images, &batch.labels);
        let (sent, start) = (self.ranks.sent().bytes(), Instant::now());
        let step = match (&self.frozen, self.engine.distributed()) {
            (_, Some(spread)) => spread.train_shard(&BatchShard { images, labels, dropout, blocks }, &rule)?,
            (Some(frozen), None) => {
                let input = Batch { images, labels, dropout };
                feature_cache::middle(self.engine)?.train_step_after(frozen.after(), &input, &rule)?
            }
            (None, None) => self.engine.train_step(&Batch { images, labels, dropout }, &rule)?,
        };
        let (steps, bytes, time) = self.spent;
        self.spent = (steps + 1, bytes + self.ranks.sent().bytes() - sent, time + start.elapsed());
        if !step.loss.is_finite() {
            return Err(self.diverged("loss"));
        }
        self.state.sums.loss += f64::from(step.loss) * n as f64;
        self.state.sums.correct += step.correct as u64;
        self.state.sums.pictures += n as u64;
        Ok(())
    }

    fn diverged(&self, what: &str) -> Error {
        let kept = [self.folder.last(), self.folder.best()].into_iter().find(|path| path.exists());
        let kept =
            kept.map_or("nothing was saved before".to_string(), |path| format!("the last good model is {}", path.display()));
        let (step, epoch) = (self.step() + 1, self.state.epoch + 1);
        Error::Invalid(format!("the {what} is not finite at step {step} (epoch {epoch}); {kept}; {DIVERGED}"))
    }
}

/// Where the batches of an epoch come from.
enum Batches {
    /// The loader, which runs ahead.
    Ahead(loader::BatchIter),
    /// What frozen layers give is kept for the pictures of these batches.
    Kept(Vec<Vec<u32>>),
}

/// The update rule at a position.
fn rule(recipe: &Recipe, rates: &BTreeMap<String, f32>, at: Progress) -> Update {
    Update { layers: rates.clone(), ..recipe.update(at) }
}

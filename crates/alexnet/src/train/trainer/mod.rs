//! Training loop: epochs, steps, validation, checkpoints.
//!
//! [`Trainer`] only coordinates; each responsibility has its own type. [`RunSchedule`] tracks progress and builds
//! optimizer steps, [`RankSync`] synchronises ranks, [`Validator`] evaluates the model, [`Checkpointer`] writes the
//! run's files, [`DecodeErrors`] handles images that cannot be read, a [`FeatureCache`] stores the outputs of
//! frozen layers, and an [`Ema`] averages the weights.

mod checkpoint;
mod decode_errors;
mod event;
mod held;
mod schedule;
mod steps;
mod sync;
mod validation;

use self::checkpoint::Checkpointer;
use self::decode_errors::DecodeErrors;
pub use self::event::{CommStats, Event, OnDecodeError, StopReason, TrainerOptions, Weights};
use self::held::Held;
use self::schedule::RunSchedule;
use self::sync::RankSync;
use self::validation::{Validated, Validator};
use super::ema::{self, Ema, with_average};
use super::feature_cache::{FeatureCache, Plan};
use super::image_lists::ImageLists;
use super::loaders::Loaders;
use super::lr_change::LrChange;
use super::param_groups;
use super::recipe::{Choice, Monitor, Recipe};
use super::run_dir::RunDir;
use super::state::{BestEpoch, DIVERGED, EpochMetrics, RunningTotals, State};
use super::timeline::{Clock, Leg, RunSize, Timeline};
use crate::data::{Dataset, loader};
use crate::distributed::Communicator;
use crate::engine::{Criterion, Training};
use crate::formats::Model;
use crate::{Error, Result};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

/// A training run.
pub struct Trainer<'a> {
    engine: &'a mut dyn Training,
    recipe: &'a Recipe,
    seed: u64,
    loaders: &'a Loaders,
    /// Loss; `None`: plain cross-entropy.
    criterion: Option<Criterion>,
    max_steps: Option<u64>,
    state: State,
    schedule: RunSchedule<'a>,
    ranks: RankSync,
    validator: Validator,
    checkpointer: Checkpointer<'a>,
    decode_errors: DecodeErrors,
    /// Treatment of frozen layers.
    plan: Plan,
    features: Option<FeatureCache>,
    /// Moving average of the weights, which is validated in their place.
    ema: Option<Ema>,
    /// Batches of the current step whose gradients are held.
    held: Held,
    /// Whether the initial model is validated before the first step.
    validates_first: bool,
    /// Clock of a run with a time budget.
    clock: Option<Clock>,
}

impl<'a> Trainer<'a> {
    /// Creates a trainer for an engine whose parameters are set. If the run directory contains a state, the run
    /// resumes from it.
    ///
    /// # Errors
    /// An invalid recipe, or the state of another run.
    #[allow(clippy::too_many_arguments, reason = "independent values, all created once by the command")]
    pub fn new(
        engine: &'a mut dyn Training,
        recipe: &'a Recipe,
        seed: u64,
        loaders: &'a Loaders,
        train: Arc<dyn Dataset>,
        val: Arc<dyn Dataset>,
        folder: &'a RunDir,
        options: TrainerOptions,
    ) -> Result<Self> {
        recipe.check()?;
        ema::check(engine, recipe)?;
        let criterion = criterion(recipe, loaders.val.is_some(), &*train)?;
        engine.prepare_training();
        let model = Model {
            net: engine.net().clone(),
            preprocess: loaders.preprocess.clone(),
            classes: train.classes().to_vec(),
            recipe: serde_json::to_value(recipe).map_err(|e| Error::Invalid(format!("cannot serialize the recipe: {e}")))?,
            ranges: Default::default(),
            temperature: None,
            tensors: Default::default(),
        };
        let rates = param_groups::rates(&model.net, &recipe.layer_rates)?;
        let weight_decays = param_groups::weight_decays(&model.net, &recipe.layer_weight_decay)?;
        let room = options.frozen_room.unwrap_or_else(loader::default_memory);
        let plan = Plan::new(&model.net, &rates, loaders, engine.split().is_some(), room)?;
        let changes = param_groups::rate_changes(&model.net, &recipe.layer_rate_changes, recipe.epochs)?;
        let schedule = RunSchedule::new(recipe, rates, weight_decays, changes, loaders.train.batches());
        let mut ema = recipe.ema.map(|settings| Ema::new(settings, engine)).transpose()?;
        let mut state = resume(engine, &model, &schedule, folder, &*train, &*val, ema.as_mut())?;
        if state.timeline.is_none() && !recipe.timeline.is_empty() {
            state.timeline = Some(Timeline::of(&recipe.timeline));
        }
        Ok(Trainer {
            recipe,
            seed,
            loaders,
            criterion,
            max_steps: options.max_steps,
            state,
            schedule,
            ranks: RankSync::single_process(),
            validator: Validator::default(),
            features: FeatureCache::new(&plan, loaders),
            ema,
            held: Held::default(),
            plan,
            checkpointer: Checkpointer::new(folder, model, options.save_every, options.snapshots),
            decode_errors: DecodeErrors { policy: options.on_bad, train, val },
            validates_first: false,
            clock: None,
            engine,
        })
    }

    /// Validates the initial model before the first step, as epoch 0, for models that already know their classes. It
    /// stays the best model until an epoch beats it, because training on few images does not always improve a model.
    #[must_use]
    pub fn validating_first(mut self) -> Self {
        self.validates_first = true;
        self
    }

    /// Ends the run, with everything validated and saved, when it has used `budget` in all its processes. This one began at
    /// `start`. The recipe's schedule follows the share of the time.
    #[must_use]
    pub fn with_time(mut self, budget: Duration, start: Instant) -> Self {
        let size = RunSize {
            batch: self.loaders.train.images() / self.loaders.train.batches().max(1),
            validation: self.loaders.val.as_ref().map_or(0, loader::Loader::images),
            parameters: self.engine.net().totals().map_or(0, |totals| totals.parameters),
            steps_per_epoch: self.schedule.steps_per_epoch() as u64,
        };
        let until = (self.recipe.epochs as u64 * size.steps_per_epoch).max(1);
        let timeline = self.state.timeline.get_or_insert_with(|| Timeline::of(&[Leg { step: 0, share: 0.0, until }]));
        let clock = Clock::new(budget, start, timeline.used, size);
        if timeline.used == 0.0 {
            timeline.begun = clock.used();
        }
        self.clock = Some(clock);
        self
    }

    /// Makes the trainer one of several ranks, over which its engine is distributed and for which its loaders are
    /// [partitioned](Loaders::with_cut). All ranks train alike; rank 0 writes the files.
    #[must_use]
    pub fn with_ranks(mut self, ranks: Arc<dyn Communicator>) -> Self {
        self.checkpointer.writes = ranks.rank() == 0;
        self.ranks = RankSync::new(ranks, self.loaders.train.cut());
        self
    }

    /// Learning rates that were given by hand so far.
    #[must_use]
    pub fn with_lr_changes(mut self, changes: &[LrChange]) -> Self {
        self.schedule.by_hand = changes.to_vec();
        self
    }

    /// Makes `lr` the learning rate of the next step, and scales the later ones alike. Returns all changes so far, for the next
    /// [`with_lr_changes`](Self::with_lr_changes); `None` if `lr` is the rate that was given last, which changes nothing.
    ///
    /// # Errors
    /// The rate is not positive, or the run is complete.
    pub fn change_lr(&mut self, lr: f64) -> Result<Option<&[LrChange]>> {
        let given = self.schedule.by_hand.last().map_or(self.recipe.lr, |change| change.lr);
        if lr == given {
            return Ok(None);
        }
        if !(lr > 0.0 && (lr as f32).is_finite()) {
            return Err(Error::Invalid(format!("--lr {lr}: must be positive and finite")));
        }
        if self.is_complete() {
            let message =
                format!("--lr {lr}: the run is complete; train on from its model with a new run: --from RUN/last.safetensors");
            return Err(Error::Invalid(message));
        }
        let none = || Error::Invalid(format!("--lr {lr}: the schedule's rate is 0 here, which cannot be scaled"));
        let change = self.schedule.change_to(&self.state, lr).ok_or_else(none)?;
        self.schedule.by_hand.retain(|before| before.step < change.step);
        self.schedule.by_hand.push(change);
        Ok(Some(&self.schedule.by_hand))
    }

    /// Learning rate of the next step.
    pub fn lr(&self) -> f64 {
        self.schedule.lr(&self.state)
    }

    /// Makes the trainer write no files.
    #[must_use]
    pub(in crate::train) fn without_files(mut self) -> Self {
        self.checkpointer.writes = false;
        self
    }

    /// Treatment of the frozen layers.
    pub fn frozen(&self) -> &Plan {
        &self.plan
    }

    /// Progress of the run.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Steps completed since the start of the run.
    pub fn step(&self) -> u64 {
        self.schedule.step(&self.state)
    }

    /// Whether all epochs are complete, or none was better for the recipe's patience.
    pub fn is_complete(&self) -> bool {
        let Recipe { patience, monitor, .. } = *self.recipe;
        self.schedule.is_complete(&self.state) || (patience > 0 && self.state.epochs_without_improvement(monitor) >= patience)
    }

    /// Communication and time per step of all ranks. Collective: all ranks call it together.
    ///
    /// # Errors
    /// Another rank that failed.
    pub fn traffic(&self) -> Result<CommStats> {
        self.ranks.traffic()
    }

    /// Trains until all epochs are complete or none is better for the recipe's patience, `max_steps` is reached, or `stop` is
    /// set; then saves everything.
    ///
    /// # Errors
    /// A loss that is not finite, an unreadable image if the policy is to stop, or a file that cannot be written.
    /// Files saved before stay intact.
    pub fn run(&mut self, stop: &AtomicBool, watch: &mut dyn FnMut(Event<'_>)) -> Result<StopReason> {
        if self.validates_first && self.state.rows.is_empty() && self.step() == 0 && !self.validate_initial(stop, watch)? {
            // Nothing is saved: without a state, the run restarts from the same model with the same validation.
            return Ok(StopReason::Interrupted);
        }
        let mut begun = None;
        while !self.is_complete() {
            let (start, before) = (Instant::now(), self.state.sums.images);
            if let Some(ending) = self.steps(stop, watch)? {
                self.save(ending == StopReason::MaxSteps)?;
                return Ok(ending);
            }
            let (train_time, images) = (start.elapsed(), self.state.sums.images - before);
            let Some(best) = self.finish_epoch(stop, watch)? else {
                self.save(false)?;
                return Ok(StopReason::Interrupted);
            };
            let row = &self.state.rows[self.state.rows.len() - 1];
            watch(Event::Epoch {
                row,
                best,
                train_time,
                images,
                validation: self.validator.report(),
                weights: Weights(&*self.engine),
            });
            begun = Some(());
            let complete = self.schedule.is_complete(&self.state);
            if !complete && self.ranks.as_first_rank(self.checkpointer.is_due_after_epoch())? {
                self.save(true)?;
            }
            self.plan_after_epoch();
        }
        // Do not save again if the run was already complete.
        if begun.is_some() {
            self.save(true)?;
        }
        Ok(if self.schedule.is_complete(&self.state) { StopReason::Done } else { StopReason::EarlyStop })
    }

    /// Validates the initial model and records its metrics. Returns `false` if interrupted.
    fn validate_initial(&mut self, stop: &AtomicBool, watch: &mut dyn FnMut(Event<'_>)) -> Result<bool> {
        let val = match self.validate(stop, watch)? {
            Validated::Found(val) => val,
            Validated::NoImages => return Ok(true),
            Validated::Interrupted => return Ok(false),
        };
        let (lr, train_loss, train_top1, broken) = (None, None, None, self.state.broken.len());
        self.record(EpochMetrics { epoch: 0, step: 0, lr, train_loss, train_top1, val: Some(val), broken })?;
        if let Some(row) = self.state.rows.last() {
            watch(Event::InitialValidation { row, validation: self.validator.report() });
        }
        Ok(true)
    }

    /// Validates, records the epoch and starts the next one. Returns whether the epoch is the best, or `None` if
    /// interrupted.
    fn finish_epoch(&mut self, stop: &AtomicBool, watch: &mut dyn FnMut(Event<'_>)) -> Result<Option<bool>> {
        let RunningTotals { loss, correct, images } = self.state.sums;
        if images == 0 {
            let why = self.state.broken.iter().next().map_or(String::new(), |(name, why)| format!("; {name}: {why}"));
            return Err(Error::Invalid(format!("none of the training images could be read{why}")));
        }
        let val = match self.validate(stop, watch)? {
            Validated::Found(val) => Some(val),
            Validated::NoImages => None,
            Validated::Interrupted => return Ok(None),
        };
        let row = EpochMetrics {
            epoch: self.state.epoch + 1,
            step: self.step(),
            lr: Some(self.schedule.last_lr(&self.state)),
            train_loss: Some(loss / images as f64),
            train_top1: Some(correct as f64 / images as f64),
            val,
            broken: self.state.broken.len(),
        };
        // A run with a timeline may end within an epoch, which then counts as one.
        let (step, over) = (self.step(), self.is_over());
        if let Some(timeline) = self.state.timeline.as_mut().filter(|_| over) {
            timeline.ended = Some(step);
        }
        (self.state.epoch, self.state.batch, self.state.sums) = (self.state.epoch + 1, 0, RunningTotals::default());
        self.record(row).map(Some)
    }

    /// Evaluates the current model, or the average of its weights, on the validation images.
    fn validate(&mut self, stop: &AtomicBool, watch: &mut dyn FnMut(Event<'_>)) -> Result<Validated> {
        let Some(loader) = &self.loaders.val else { return Ok(Validated::NoImages) };
        let classes = &self.checkpointer.model().classes;
        let report = with_average(self.engine, &mut self.ema, |engine| {
            self.validator.run(&self.ranks, engine, self.features.as_mut(), loader, classes, stop)
        })?;
        let Some(report) = report else { return Ok(Validated::Interrupted) };
        if self.decode_errors.in_validation(&report.broken, &mut self.state, watch)? {
            self.checkpointer.write_broken(&self.state)?;
        }
        if !report.loss.is_finite() {
            return Err(self.diverged("loss of validation"));
        }
        Ok(Validated::Found(self.validator.keep(report)))
    }

    /// Records an epoch's metrics, and saves its model if it is the best. Returns whether it is.
    fn record(&mut self, row: EpochMetrics) -> Result<bool> {
        let best = match self.recipe.best {
            Choice::Last => Some(BestEpoch::of(&row)),
            Choice::Validation => self.state.improves(&row, self.recipe.monitor),
        };
        if best.is_some() {
            with_average(self.engine, &mut self.ema, |engine| self.checkpointer.save_best(engine))?;
            self.state.best = best;
        }
        self.state.schedule.observe(self.recipe.monitor.score(&row), &self.recipe.schedule);
        self.state.rows.push(row);
        if self.checkpointer.snapshot_is_due(&self.state) {
            let (checkpointer, state, monitor) = (&self.checkpointer, &self.state, self.recipe.monitor);
            with_average(self.engine, &mut self.ema, |engine| checkpointer.write_snapshot(engine, state, monitor))?;
        }
        self.checkpointer.write_metrics(&self.state)?;
        Ok(best.is_some())
    }

    /// Saves the state, preceded by the last model if `with_model`.
    fn save(&mut self, with_model: bool) -> Result<()> {
        if let (Some(clock), Some(timeline)) = (&self.clock, &mut self.state.timeline) {
            timeline.used = clock.used();
        }
        let (step, start) = (self.schedule.saved_step(&self.state), Instant::now());
        self.checkpointer.save(self.engine, &self.state, &step, &mut self.ema, with_model)?;
        if let Some(clock) = self.clock.as_mut().filter(|_| with_model) {
            clock.saved(start.elapsed());
        }
        Ok(())
    }

    fn diverged(&self, what: &str) -> Error {
        let kept = self.checkpointer.last_good_model();
        let kept =
            kept.map_or("nothing was saved before".to_string(), |path| format!("the last good model is {}", path.display()));
        let (step, epoch) = (self.step() + 1, self.state.epoch + 1);
        Error::Invalid(format!("the {what} is not finite at step {step} (epoch {epoch}); {kept}; {DIVERGED}"))
    }
}

/// The loss for training on a data set; checks that the recipe suits the data, before a run folder is created.
///
/// # Errors
/// Class weights for another data set, or a metric that needs validation images.
pub(super) fn criterion(recipe: &Recipe, has_validation: bool, train: &dyn Dataset) -> Result<Option<Criterion>> {
    if !has_validation && (recipe.patience > 0 || recipe.monitor == Monitor::MacroF1) {
        let message = "--patience and --monitor macro-f1 (patience, monitor in the recipe) need validation images; use --val or a \
                       larger --val-share";
        return Err(Error::Invalid(message.into()));
    }
    recipe.loss.criterion(train)
}

/// Initial state of a new run, or the saved state of an existing one, whose parameters are loaded into the engine.
fn resume(
    engine: &mut dyn Training,
    model: &Model,
    schedule: &RunSchedule<'_>,
    folder: &RunDir,
    train: &dyn Dataset,
    val: &dyn Dataset,
    ema: Option<&mut Ema>,
) -> Result<State> {
    let images = ImageLists::of(train, val);
    let mut state = State { image_count: train.len(), ..State::default() };
    if folder.state().exists() {
        state = State::read(&folder.state(), model, engine, &schedule.saved_step(&state), ema)?;
        if state.image_count != train.len() {
            let message = format!("was saved with {} training images, but the set now has {}", state.image_count, train.len());
            return Err(Error::file(folder.state(), message));
        }
        if let Some(difference) = state.images.as_ref().and_then(|before| before.difference(&images)) {
            let advice =
                "a run can only be resumed with the same images; restore them, or start a new run with --from last.safetensors";
            return Err(Error::file(folder.state(), format!("was saved with {difference}; {advice}")));
        }
    }
    state.images = Some(images);
    Ok(state)
}

//! Forecast of a run before its first step: what it trains on, how long it takes here, and what it needs.
//!
//! Times are measured on real steps, for about a second. The engine of the measurement is another one than the run's, and is gone
//! before that is made; its parameters stay zero, because it learns at a rate of zero; and a batch depends on its epoch and number
//! alone, whoever else has asked for it. So a forecast changes no bit of a run.

use super::config::Config;
use super::engines::{EngineRequest, Engines};
use super::loaders::Loaders;
use super::recipe::Recipe;
use crate::Result;
use crate::data::Dataset;
use crate::data::loader::{self, Batch as Loaded};
use crate::engine::{BatchShard, DropoutKey, Objective, OptimizerStep, Training};
use crate::net::Net;
use std::time::{Duration, Instant};

/// Time for which steps are measured.
const MEASURE: Duration = Duration::from_secs(1);
/// Maximum number of measured steps.
const STEPS: usize = 10;
/// From this time on, a forecast names ways to shorten the run.
const LONG: Duration = Duration::from_secs(3600);
/// Assumed speed of the disk, in bytes per second.
const DISK: f64 = 3e8;
/// Interval at which a run saves at most, and the share of its time for which it does.
const SAVES: (f64, f64) = (20.0, 0.05);
/// Image sizes to suggest for a shorter run.
const SMALLER: [usize; 4] = [160, 128, 96, 64];

/// Forecast of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Forecast {
    /// Number of training images.
    pub images: usize,
    /// Number of validation images.
    pub validation: usize,
    /// Number of classes.
    pub classes: usize,
    /// The class with the fewest training images, and their number.
    pub smallest: (String, usize),
    /// The class with the most training images, and their number.
    pub largest: (String, usize),
    /// Image size in pixels.
    pub image_size: usize,
    /// Number of epochs; with a time budget, as many as it suffices for.
    pub epochs: f64,
    /// Batch size.
    pub batch: usize,
    /// Number of steps.
    pub steps: u64,
    /// Time of the whole run; `None` if it cannot be measured before.
    pub time: Option<Duration>,
    /// Memory in bytes; `None` if the system does not report it.
    pub memory: Option<u64>,
    /// Size of the run folder in bytes.
    pub disk: u64,
    /// Options that shorten a long run.
    pub shorter: Vec<Shorter>,
}

/// An option that shortens a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Shorter {
    /// The option, such as `--image-size 128`.
    pub option: String,
    /// Time of the whole run with it.
    pub time: Duration,
}

/// A run that is about to start.
pub(super) struct Upcoming<'a> {
    pub(super) config: &'a Config,
    pub(super) net: &'a Net,
    pub(super) train: &'a dyn Dataset,
    pub(super) val: &'a dyn Dataset,
    pub(super) loaders: &'a Loaders,
    pub(super) engines: &'a dyn Engines,
    pub(super) request: EngineRequest<'a>,
    /// Number of steps after which it stops.
    pub(super) max_steps: Option<u64>,
}

/// Seconds that parts of a run take.
#[derive(Debug, Clone, Copy)]
struct Costs {
    /// A step, without loading.
    step: f64,
    /// Evaluation of an image.
    image: f64,
    /// Loading a batch for the first time, and again.
    first_load: f64,
    load: f64,
}

impl Upcoming<'_> {
    /// The forecast. Several ranks and cached features of frozen layers are not measured.
    ///
    /// # Errors
    /// The engine cannot be made, or a step fails.
    pub(super) fn forecast(&self) -> Result<Forecast> {
        let recipe = &self.config.recipe;
        let steps_per_epoch = recipe.steps_per_epoch(self.loaders.train.batches()).max(1) as f64;
        let measurable = self.request.ranks.size() == 1 && recipe.layer_rates.values().all(|rate| *rate != 0.0);
        let (costs, memory) = if measurable { self.measured()? } else { (None, None) };
        let parameters = self.net.totals()?.parameters as u64;
        // Two models and the state, which also holds the optimizer's slots and the average of the weights.
        let (models, slots) = (if recipe.ema.is_some() { 5 } else { 3 }, recipe.optimizer.slots().len() as u64);
        let saved = 4 * parameters * (models + slots);
        let budget = self.config.time.and_then(|time| Duration::try_from_secs_f64(time).ok());
        let all = costs.and_then(|costs| self.time(costs, recipe.epochs as f64, saved));
        // The budget suffices for its share of the epochs that the recipe has.
        let mut epochs = match (budget, all) {
            (Some(budget), Some(all)) => recipe.epochs as f64 * budget.as_secs_f64() / all.as_secs_f64().max(1e-9),
            _ => recipe.epochs as f64,
        };
        let planned = (epochs * steps_per_epoch).round() as u64;
        let (mut steps, mut time) = (planned, budget.or(all));
        if let Some(most) = self.max_steps.filter(|most| *most < planned) {
            (steps, epochs) = (most, most as f64 / steps_per_epoch);
            let shortened = costs.and_then(|costs| self.time(costs, epochs, saved));
            time = time.zip(shortened).map(|(time, shortened)| time.min(shortened));
        }
        let snapshots = self.config.snapshots.remaining(epochs as usize) as u64;
        let counts = class_counts(self.train);
        let class = |i: usize| (self.train.classes()[i].clone(), counts[i]);
        let order = |least: bool| {
            let by = |i: &usize| (counts[*i], *i);
            if least { (0..counts.len()).min_by_key(by) } else { (0..counts.len()).max_by_key(by) }
        };
        let mut forecast = Forecast {
            images: self.train.len(),
            validation: self.val.len(),
            classes: counts.len(),
            smallest: order(true).map(class).unwrap_or_default(),
            largest: order(false).map(class).unwrap_or_default(),
            image_size: self.config.image_size,
            epochs,
            batch: recipe.batch.min(self.train.len()),
            steps,
            time,
            // The average of the weights, and the weights as they are saved, without batch normalisation.
            memory: memory.map(|used: u64| {
                used + self.cached() + 4 * parameters * (u64::from(recipe.ema.is_some()) + u64::from(recipe.batch_norm))
            }),
            disk: saved + 4 * parameters * snapshots,
            shorter: Vec::new(),
        };
        if let (Some(costs), Some(time), None) = (costs, time, budget)
            && time > LONG
        {
            forecast.shorter = self.shorter(costs, time, epochs, saved);
        }
        Ok(forecast)
    }

    /// Measures steps, and the memory that the process has then.
    fn measured(&self) -> Result<(Option<Costs>, Option<u64>)> {
        let start = Instant::now();
        let Some(batch) = self.loaders.train.epoch(0, 0).next().filter(|batch| !batch.labels.is_empty()) else {
            return Ok((None, None));
        };
        let first_load = start.elapsed().as_secs_f64();
        let start = Instant::now();
        drop(self.loaders.train.load(0, &batch.indices));
        let load = start.elapsed().as_secs_f64();
        let mut engine = self.engines.engine(&self.request)?;
        let step = self.step(&mut *engine, &batch)?;
        let (start, mut logits) = (Instant::now(), Vec::new());
        engine.infer(&batch.images, &mut logits)?;
        let image = start.elapsed().as_secs_f64() / batch.labels.len() as f64;
        Ok((Some(Costs { step, image, first_load, load }), resident()))
    }

    /// Seconds of a step of an engine.
    fn step(&self, engine: &mut dyn Training, batch: &Loaded) -> Result<f64> {
        engine.prepare_training();
        let recipe = Recipe { lr: 0.0, ..self.config.recipe.clone() };
        let own = recipe.step_at(Default::default());
        let layers = super::param_groups::rates(self.net, &recipe.layer_rates)?;
        let layer_weight_decay = super::param_groups::weight_decays(self.net, &recipe.layer_weight_decay)?;
        let step = OptimizerStep { lr: 0.0, bias_lr: 0.0, layers, layer_weight_decay, ..own };
        let dropout = Some(DropoutKey { seed: 0, step: 0, first_image: 0 });
        let shard = BatchShard {
            images: &batch.images,
            labels: &batch.labels,
            dropout,
            objective: Objective::default(),
            blocks: &batch.parts,
        };
        let (begin, mut times) = (Instant::now(), Vec::new());
        while times.len() < 2 || (times.len() < STEPS && begin.elapsed() < MEASURE) {
            let start = Instant::now();
            engine.train_shard(&shard, &step)?;
            times.push(start.elapsed().as_secs_f64());
            // A slow first step, which also touches the memory, is enough.
            if begin.elapsed() > 2 * MEASURE {
                break;
            }
        }
        // The first step is slower than the others, which count by their median.
        let mut rest = if times.len() > 1 { times.split_off(1) } else { times };
        rest.sort_by(f64::total_cmp);
        Ok(rest[rest.len() / 2])
    }

    /// Time of a run of this many epochs, which saves so many bytes at a time.
    fn time(&self, costs: Costs, epochs: f64, saved: u64) -> Option<Duration> {
        let Costs { step, image, first_load, load } = costs;
        let batches = self.loaders.train.batches() as f64;
        let validation = self.val.len() as f64 * image;
        let models = saved as f64 / DISK;
        // Images beyond the cache are decoded in each epoch.
        let cached = (loader::default_memory() as f64 / self.all_images().max(1) as f64).min(1.0);
        let again = load * cached + first_load * (1.0 - cached);
        let first = epochs.min(1.0) * batches * (first_load - again).max(0.0);
        let training = epochs * (batches * (step + again) + validation) + first;
        let saves = (training / SAVES.0).min(epochs) * models;
        Duration::try_from_secs_f64(training + saves.min(SAVES.1 * training) + models).ok()
    }

    /// Bytes of all training images as the cache holds them, estimated from their size after resizing.
    fn all_images(&self) -> u64 {
        let reduced = self.config.recipe.augment.short_side;
        let side = reduced.unwrap_or(self.loaders.preprocess.resize.side()) as u64;
        self.train.len() as u64 * (side * side * 3 * 4 / 3)
    }

    fn cached(&self) -> u64 {
        self.all_images().min(loader::default_memory())
    }

    /// Options that shorten the run, measured where they change a step.
    fn shorter(&self, costs: Costs, time: Duration, epochs: f64, saved: u64) -> Vec<Shorter> {
        let mut options = Vec::new();
        let mut add = |option: String, time: Option<Duration>| options.extend(time.map(|time| Shorter { option, time }));
        let step_of = |net: &Net, precision: &str| {
            let mut engine = self.engines.engine(&EngineRequest { net, precision, ..self.request }).ok()?;
            self.step(&mut *engine, &zeros(net, self.request.batch)).ok()
        };
        if self.config.precision == "f32" {
            let step = step_of(self.net, "bf16").filter(|step| *step < 0.9 * costs.step);
            add("--precision bf16".into(), step.and_then(|step| self.time(Costs { step, ..costs }, epochs, saved)));
        }
        let smaller = SMALLER.into_iter().find(|size| 4 * size <= 3 * self.config.image_size);
        if let Some(size) = smaller.filter(|_| self.config.from.is_none()) {
            let net = self.net.clone().with_image_size(size);
            let step = net.check_image_size().ok().and_then(|()| step_of(&net, &self.config.precision));
            let image = step.map(|step| costs.image * step / costs.step);
            let costs = step.zip(image).map(|(step, image)| Costs { step, image, ..costs });
            add(format!("--image-size {size}"), costs.and_then(|costs| self.time(costs, epochs, saved)));
        }
        let fewer = (epochs * LONG.as_secs_f64() / time.as_secs_f64()).floor();
        if fewer >= 1.0 {
            add(format!("--epochs {fewer}"), self.time(costs, fewer, saved));
        }
        add("--time 1h".into(), Some(LONG));
        options
    }
}

/// A batch of black images.
fn zeros(net: &Net, batch: usize) -> Loaded {
    let images = vec![0.0; batch * 3 * net.image_size * net.image_size];
    Loaded::new(images, vec![0; batch], vec![0; batch], Vec::new())
}

/// Number of images of each class.
fn class_counts(images: &dyn Dataset) -> Vec<usize> {
    let mut counts = vec![0; images.classes().len()];
    (0..images.len()).for_each(|i| counts[images.label(i) as usize] += 1);
    counts
}

/// Bytes of memory that this process holds.
fn resident() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

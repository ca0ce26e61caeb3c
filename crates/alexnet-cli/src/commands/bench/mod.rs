//! `alexnet bench`: benchmarks of training, inference, kernels and data loading.

mod augmentation;
mod data;
mod kernels;
mod memory;
mod speed;

use std::time::{Duration, Instant};

use alexnet::engine::cpu::Cpu;
use alexnet::engine::{Batch, Calibration, DropoutKey, Engine, Objective, OptimizerStep, ParameterStore, init};
use alexnet::net::Net;
use alexnet::selftest::formula;
use anyhow::bail;

use crate::commands::engine_args::EngineArgs;
use crate::net_option::NetOption;
use crate::numbers;

/// Options of `alexnet bench`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

/// Benchmark to run.
#[derive(clap::Subcommand)]
enum What {
    /// Training throughput: forward, backward and update, with dropout
    Train(Load),
    /// Inference throughput
    Infer(Load),
    /// Time and rates of each step, compared with the machine's limits
    Kernels(kernels::Args),
    /// Data loading throughput (read, decode, resize, augment), compared with training
    Data(data::Args),
}

/// A network on random images, and how long to run it.
#[derive(clap::Args)]
struct Load {
    #[command(flatten)]
    net: NetOption,
    /// Batch size
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = numbers::batch)]
    batch: usize,
    #[command(flatten)]
    machine: EngineArgs,
    /// Duration in seconds
    #[arg(long, value_name = "S", default_value_t = 10.0, value_parser = numbers::seconds)]
    seconds: f64,
    /// Print a JSON object on the last line
    #[arg(long)]
    json: bool,
}

/// Mode of the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Mode {
    /// Forward, backward and update, with dropout
    Train,
    /// Forward only
    Infer,
}

impl Mode {
    fn name(self) -> &'static str {
        if self == Mode::Train { "train" } else { "infer" }
    }
}

/// Warm-up runs, which allocate memory and fill the caches.
const WARM_UP: usize = 2;
/// Minimum number of timed runs.
const LEAST: usize = 3;

pub(crate) fn run(args: &Args, quiet: bool) -> anyhow::Result<()> {
    match &args.what {
        What::Train(load) => speed::run(load, Mode::Train),
        What::Infer(load) => speed::run(load, Mode::Infer),
        What::Kernels(args) => kernels::run(args),
        What::Data(args) => data::run(args, quiet),
    }
}

/// Random images and the mode to run them in.
pub(super) struct Work {
    images: Vec<f32>,
    labels: Vec<u32>,
    logits: Vec<f32>,
    mode: Mode,
    run: u64,
}

impl Load {
    /// Builds the net after validating the options.
    fn net(&self) -> anyhow::Result<Net> {
        if !(self.seconds >= 0.0 && self.seconds.is_finite()) {
            bail!("--seconds {}: not a valid duration", self.seconds);
        }
        let net = self.net.net(None)?;
        let bytes = [4, self.batch, 3, net.image_size, net.image_size].map(|n| n as u128).iter().product::<u128>();
        alexnet::memory::check(bytes, || format!("a batch of {} images of {} pixels", self.batch, net.image_size))?;
        Ok(net)
    }

    /// Creates a CPU engine with fresh weights, and its work.
    fn cpu(&self, mode: Mode) -> anyhow::Result<(Cpu, Work)> {
        let net = self.net()?;
        let mut engine = self.machine.cpu(&net, self.batch)?;
        init::initialise(&mut engine, 0)?;
        let work = Work::new(&net, self.batch, mode);
        if self.machine.precision().is_of_bytes() && mode == Mode::Infer {
            let few = work.images.len() / self.batch * self.batch.min(8);
            let ranges = engine.calibrate(&work.images[..few])?;
            engine.set_ranges(&ranges);
        }
        Ok((engine, work))
    }
}

impl Work {
    /// Creates `batch` random images of the net's size.
    pub(super) fn new(net: &Net, batch: usize, mode: Mode) -> Work {
        let images = formula::uniform(0, batch * 3 * net.image_size * net.image_size, 1.7);
        Work { images, labels: formula::labels(batch, net.classes()), logits: Vec::new(), mode, run: 0 }
    }

    /// Runs one batch.
    fn once(&mut self, engine: &mut dyn Engine) -> alexnet::Result<()> {
        self.run += 1;
        match self.mode {
            Mode::Infer => engine.infer(&self.images, &mut self.logits),
            Mode::Train => {
                let dropout = Some(DropoutKey { seed: 0, step: self.run, first_image: 0 });
                engine
                    .train_step(
                        &Batch { images: &self.images, labels: &self.labels, dropout, objective: Objective::default() },
                        &OptimizerStep::for_timing(),
                    )
                    .map(|_| ())
            }
        }
    }

    /// Executes the warm-up runs.
    pub(super) fn warm_up(&mut self, engine: &mut dyn Engine) -> alexnet::Result<()> {
        (0..WARM_UP).try_for_each(|_| self.once(engine))
    }

    /// Times batches for a number of seconds; the fastest first.
    pub(super) fn times(&mut self, engine: &mut dyn Engine, seconds: f64) -> alexnet::Result<Vec<Duration>> {
        let (begin, mut times) = (Instant::now(), Vec::new());
        while times.len() < LEAST || begin.elapsed().as_secs_f64() < seconds {
            let start = Instant::now();
            self.once(engine)?;
            times.push(start.elapsed());
        }
        times.sort();
        Ok(times)
    }

    /// Converts the time of a batch to images per second.
    fn rate(&self, time: Duration) -> f64 {
        self.labels.len() as f64 / time.as_secs_f64()
    }
}

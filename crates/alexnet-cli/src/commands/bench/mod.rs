//! `alexnet bench`: how fast, where the time goes, and what the machine could do.

mod data;
mod kernels;
mod memory;
mod speed;

use std::time::{Duration, Instant};

use alexnet::engine::cpu::{Cpu, Precision};
use alexnet::engine::{Batch, DropoutKey, Engine, Update, UpdateForm, init};
use alexnet::net::Net;
use alexnet::selftest::formula;
use anyhow::bail;

use crate::net_option::NetOption;

/// Options of `alexnet bench`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

/// What is measured.
#[derive(clap::Subcommand)]
enum What {
    /// Pictures per second of training: forward, backward and update, dropout on
    Train(Load),
    /// Pictures per second of inference
    Infer(Load),
    /// Each step's time and rates, beside what the machine can do
    Kernels(kernels::Args),
    /// Pictures per second of reading, decoding, resizing and augmenting, beside what training takes
    Data(data::Args),
}

/// A net with random pictures, and for how long it runs.
#[derive(clap::Args)]
struct Load {
    #[command(flatten)]
    net: NetOption,
    /// Pictures at a time
    #[arg(long, value_name = "N", default_value_t = 128)]
    batch: usize,
    /// Arithmetic
    #[arg(long, value_name = "KIND", default_value = "f32")]
    precision: Precision,
    /// Number of threads [default: one a core]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    threads: usize,
    /// How long to run
    #[arg(long, value_name = "S", default_value_t = 10.0)]
    seconds: f64,
    /// The last line is a JSON object
    #[arg(long)]
    json: bool,
}

/// What runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Mode {
    /// Forward, backward and update, dropout on
    Train,
    /// Forward
    Infer,
}

impl Mode {
    fn name(self) -> &'static str {
        if self == Mode::Train { "train" } else { "infer" }
    }
}

/// Runs that are not counted: they allocate, and fill the caches.
const WARM_UP: usize = 2;
/// At least this many are.
const LEAST: usize = 3;

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    match &args.what {
        What::Train(load) => speed::run(load, Mode::Train),
        What::Infer(load) => speed::run(load, Mode::Infer),
        What::Kernels(args) => kernels::run(args),
        What::Data(args) => data::run(args),
    }
}

/// An engine with pictures to run on.
pub(super) struct Bench {
    pub(super) engine: Cpu,
    images: Vec<f32>,
    labels: Vec<u32>,
    logits: Vec<f32>,
    mode: Mode,
    run: u64,
}

impl Load {
    /// The net, an engine with fresh weights, and random pictures.
    fn bench(&self, mode: Mode) -> anyhow::Result<Bench> {
        if !(self.seconds >= 0.0 && self.seconds.is_finite()) {
            bail!("--seconds {}: not a length of time", self.seconds);
        }
        Bench::new(&self.net.net(None)?, self.batch, self.threads, self.precision, mode)
    }
}

impl Bench {
    /// The net with fresh weights, and `batch` random pictures.
    pub(super) fn new(net: &Net, batch: usize, threads: usize, precision: Precision, mode: Mode) -> anyhow::Result<Bench> {
        let mut engine = Cpu::new(net, batch, threads)?.with_precision(precision);
        init::initialise(&mut engine, 0)?;
        let images = formula::uniform(0, batch * 3 * net.image_size * net.image_size, 1.7);
        let labels = formula::labels(batch, net.classes());
        if precision.is_of_bytes() && mode == Mode::Infer {
            let few = images.len() / batch * batch.min(8);
            let ranges = engine.calibrate(&images[..few])?;
            engine.set_ranges(ranges);
        }
        Ok(Bench { engine, images, labels, logits: Vec::new(), mode, run: 0 })
    }

    fn net(&self) -> &Net {
        self.engine.net()
    }

    /// One batch.
    fn once(&mut self) -> alexnet::Result<()> {
        self.run += 1;
        match self.mode {
            Mode::Infer => self.engine.infer(&self.images, &mut self.logits),
            Mode::Train => {
                let dropout = Some(DropoutKey { seed: 0, step: self.run, first_picture: 0 });
                // A rate at which no net diverges, whatever it starts from.
                let form = UpdateForm::RateOutside;
                let rule = Update {
                    trust: None,
                    lr: 1e-5,
                    bias_lr: 1e-5,
                    momentum: 0.9,
                    decay: 5e-4,
                    bias_decay: 5e-4,
                    form,
                    layers: Default::default(),
                };
                self.engine.train_step(&Batch { images: &self.images, labels: &self.labels, dropout }, &rule).map(|_| ())
            }
        }
    }

    /// Runs that are not counted.
    pub(super) fn warm_up(&mut self) -> alexnet::Result<()> {
        (0..WARM_UP).try_for_each(|_| self.once())
    }

    /// Times batches for some seconds; fastest first.
    pub(super) fn times(&mut self, seconds: f64) -> alexnet::Result<Vec<Duration>> {
        let (begin, mut times) = (Instant::now(), Vec::new());
        while times.len() < LEAST || begin.elapsed().as_secs_f64() < seconds {
            let start = Instant::now();
            self.once()?;
            times.push(start.elapsed());
        }
        times.sort();
        Ok(times)
    }

    /// Pictures a second at a time for a batch.
    fn rate(&self, time: Duration) -> f64 {
        self.labels.len() as f64 / time.as_secs_f64()
    }
}

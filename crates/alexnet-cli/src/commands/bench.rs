//! `alexnet bench`: pictures per second, on random pictures.

use std::time::{Duration, Instant};

use alexnet::engine::cpu::Cpu;
use alexnet::engine::{Batch, DropoutKey, Engine, Update, UpdateForm, init};
use alexnet::selftest::formula;
use anyhow::bail;

use crate::net_option::NetOption;

/// Options of `alexnet bench`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// What to time
    #[arg(value_enum)]
    mode: Mode,
    #[command(flatten)]
    net: NetOption,
    /// Pictures at a time
    #[arg(long, value_name = "N", default_value_t = 128)]
    batch: usize,
    /// Arithmetic
    #[arg(long, default_value = "f32", value_parser = ["f32", "bf16", "int8"])]
    precision: String,
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

/// What is timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Mode {
    /// Forward, backward and update, dropout on
    Train,
    /// Forward
    Infer,
}

/// Runs that are not counted: they allocate, and fill the caches.
const WARM_UP: usize = 2;
/// At least this many are.
const LEAST: usize = 3;

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    if args.precision != "f32" {
        bail!("--precision {}: this version computes in f32 only", args.precision);
    }
    if !(args.seconds >= 0.0 && args.seconds.is_finite()) {
        bail!("--seconds {}: not a length of time", args.seconds);
    }
    let net = args.net.net(None)?;
    let mut engine = Cpu::new(&net, args.batch, args.threads)?;
    init::initialise(&mut engine, 0)?;
    let images = formula::uniform(0, args.batch * 3 * net.image_size * net.image_size, 1.7);
    let labels = formula::labels(args.batch, net.classes());
    let mut times = match args.mode {
        Mode::Infer => {
            let mut logits = Vec::new();
            time(args.seconds, |_| engine.infer(&images, &mut logits))?
        }
        Mode::Train => time(args.seconds, |step| {
            let dropout = Some(DropoutKey { seed: 0, step, first_picture: 0 });
            // A rate at which no net diverges, whatever it starts from.
            let form = UpdateForm::RateOutside;
            let rule = Update { lr: 1e-5, bias_lr: 1e-5, momentum: 0.9, decay: 5e-4, bias_decay: 5e-4, form };
            engine.train_step(&Batch { images: &images, labels: &labels, dropout }, &rule).map(|_| ())
        })?,
    };
    times.sort();
    let rate = |time: Duration| args.batch as f64 / time.as_secs_f64();
    let (slowest, median, fastest) = (rate(times[times.len() - 1]), rate(times[times.len() / 2]), rate(times[0]));
    let (mode, threads, isa) = (if args.mode == Mode::Train { "train" } else { "infer" }, engine.threads(), engine.isa());
    if args.json {
        let result = serde_json::json!({
            "mode": mode, "net": net.name, "batch": args.batch, "image_size": net.image_size, "precision": args.precision,
            "threads": threads, "isa": isa.to_string(), "runs": times.len(),
            "images_per_second": { "min": slowest, "median": median, "max": fastest },
        });
        crate::out::print_json(&result)?;
    } else {
        crate::out::say(&format!(
            "{mode} {} at {} pixels, batch {}, {threads} threads, {isa}:",
            net.name, net.image_size, args.batch
        ));
        crate::out::say(&format!(
            "{median:.1} pictures a second (slowest run {slowest:.1}, fastest {fastest:.1}; {} runs)",
            times.len()
        ));
    }
    Ok(())
}

/// Times `work`, which is given the number of the run, for some seconds.
fn time(seconds: f64, mut work: impl FnMut(u64) -> alexnet::Result<()>) -> anyhow::Result<Vec<Duration>> {
    for run in 0..WARM_UP {
        work(run as u64)?;
    }
    let (begin, mut times) = (Instant::now(), Vec::new());
    while times.len() < LEAST || begin.elapsed().as_secs_f64() < seconds {
        let start = Instant::now();
        work((WARM_UP + times.len()) as u64)?;
        times.push(start.elapsed());
    }
    Ok(times)
}

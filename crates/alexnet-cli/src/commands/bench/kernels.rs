//! `alexnet bench kernels`: each step of a network, compared with the machine's limits.

use alexnet::engine::ParameterStore;
use alexnet::engine::cpu::{Limits, Pass, Timing};
use serde::Serialize;

use super::{Load, Mode, memory};
use crate::output::{self, Align};

/// Options of `alexnet bench kernels`.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    load: Load,
    /// Mode to run
    #[arg(long, value_enum, default_value = "train")]
    mode: Mode,
}

/// A row of the table.
#[derive(Serialize)]
struct Row {
    layer: String,
    how: String,
    pass: String,
    seconds: f64,
    /// Fraction of the time of all steps.
    share: f64,
    /// Counted as for direct convolution; null for steps without multiplications.
    gflops: Option<f64>,
    gb_per_second: f64,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let (load, training) = (&args.load, args.mode == Mode::Train);
    let (mut engine, mut work) = load.cpu(args.mode)?;
    work.warm_up(&mut engine)?;
    let peak_memory = memory::peak();
    let before = engine.limits();
    engine.time_steps(training)?;
    let times = work.times(&mut engine, load.seconds)?;
    // Other programs may have slowed one of the two measurements.
    let limits = before.better(engine.limits());
    let timings = engine.timings(training);
    let all: f64 = timings.iter().map(|timing| timing.seconds).sum();
    let rows: Vec<Row> = timings.iter().map(|timing| Row::new(&[timing], all)).collect();
    let sums: Vec<Row> = sums(&timings, all);
    let (net, threads, isa) = (engine.net(), engine.threads(), engine.isa());
    let (flops, read, rate) = (limits.flops / 1e9, limits.read / 1e9, work.rate(times[times.len() / 2]));
    if load.json {
        return output::print_json(&serde_json::json!({
            "mode": args.mode.name(), "net": net.name, "batch": load.batch, "image_size": net.image_size,
            "precision": load.machine.precision().to_string(), "threads": threads, "isa": isa.to_string(), "runs": times.len(),
            "peak_memory_bytes": peak_memory, "peak_gflops": flops, "read_gb_per_second": read,
            "images_per_second": { "min": work.rate(times[times.len() - 1]), "median": rate, "max": work.rate(times[0]) },
            "steps": rows, "sums": sums,
        }));
    }
    output::say(&format!(
        "{} {} at {} pixels, batch {}, {threads} threads, {isa}, {}; medians of {} runs",
        args.mode.name(),
        net.name,
        net.image_size,
        load.batch,
        load.machine.precision(),
        times.len()
    ));
    output::say(&format!("machine limits: {flops:.0} GFLOP/s of multiply-adds in registers, {read:.1} GB/s of memory reads\n"));
    output::print(&table(&rows, &sums, &limits))?;
    output::say(&format!(
        "\n{rate:.1} images/s; peak memory of the process {}\n\
         GFLOP/s count two operations per multiply-add of the direct formula, so Winograd may exceed the peak. GB/s count the\n\
         bytes that must be read and written at least once. A step is near its limit when either share is near 100 %.",
        memory::format(peak_memory)
    ));
    Ok(())
}

impl Row {
    /// Sums some passes into one row; `all` is the total in seconds.
    fn new(timings: &[&Timing], all: f64) -> Row {
        let seconds: f64 = timings.iter().map(|timing| timing.seconds).sum();
        let macs: usize = timings.iter().map(|timing| timing.macs).sum();
        let bytes: usize = timings.iter().map(|timing| timing.bytes).sum();
        Row {
            layer: timings[0].layer.clone(),
            how: timings[0].how.clone(),
            pass: timings[0].pass.to_string(),
            seconds,
            share: seconds / all,
            gflops: (macs > 0).then(|| 2e-9 * macs as f64 / seconds),
            gb_per_second: 1e-9 * bytes as f64 / seconds,
        }
    }

    fn cells(&self, limits: &Limits) -> [String; 9] {
        let percent = |share: f64| format!("{:.0} %", 100.0 * share);
        [
            self.layer.clone(),
            self.how.clone(),
            self.pass.clone(),
            format!("{:.2}", 1e3 * self.seconds),
            format!("{:.1} %", 100.0 * self.share),
            self.gflops.map_or_else(String::new, |gflops| format!("{gflops:.0}")),
            self.gflops.map_or_else(String::new, |gflops| percent(1e9 * gflops / limits.flops)),
            format!("{:.1}", self.gb_per_second),
            percent(1e9 * self.gb_per_second / limits.read),
        ]
    }
}

/// Convolutions, linear layers and everything else: forward, data gradient, weight gradient, and total.
fn sums(timings: &[Timing], all: f64) -> Vec<Row> {
    let kind = |timing: &Timing| match timing.how.as_str() {
        _ if timing.macs == 0 => "others",
        "product" => "linear",
        _ => "convolutions",
    };
    let mut rows = Vec::new();
    for name in ["convolutions", "linear", "others"] {
        for pass in [Pass::Forward, Pass::DataGradient, Pass::WeightGradient] {
            let some: Vec<&Timing> = timings.iter().filter(|timing| kind(timing) == name && timing.pass == pass).collect();
            if !some.is_empty() {
                rows.push(Row { layer: name.into(), how: "sum".into(), ..Row::new(&some, all) });
            }
        }
    }
    let every: Vec<&Timing> = timings.iter().collect();
    rows.push(Row { layer: "all".into(), how: "sum".into(), pass: String::new(), ..Row::new(&every, all) });
    rows
}

fn table(rows: &[Row], sums: &[Row], limits: &Limits) -> String {
    let head = ["step", "how", "pass", "ms", "share", "GFLOP/s", "of peak", "GB/s", "of read"].map(String::from);
    let cells = |row: &Row| row.cells(limits);
    let lines = [head].into_iter().chain(rows.iter().map(cells)).chain([std::array::from_fn(|_| String::new())]);
    let lines: Vec<_> = lines.chain(sums.iter().map(cells)).collect();
    let (left, right) = (Align::Left, Align::Right);
    output::table([left, left, left, right, right, right, right, right, right], &lines)
}

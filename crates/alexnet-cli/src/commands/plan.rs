//! `alexnet plan`: estimated training time on other machines.

use super::bench::{Mode, Work};
use crate::numbers;
use crate::output::{self, Align};
use alexnet::distributed::cost_model::{self, Cluster, Device, Prediction, Strategy};
use alexnet::engine::cpu::Cpu;
use alexnet::engine::init;
use alexnet::net::{Net, presets, with_commas};
use anyhow::bail;
use serde_json::json;

/// Options of `alexnet plan`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Network
    #[arg(long, value_name = "NAME", default_value = "alexnet-bn", value_parser = crate::net_option::names(), hide_possible_values = true)]
    net: String,
    /// Number of machines
    #[arg(long, value_name = "M", default_value = "1", value_parser = numbers::count)]
    machines: usize,
    /// Devices per machine; each is a rank
    #[arg(long, value_name = "D", default_value = "1", value_parser = numbers::count)]
    devices: usize,
    /// Processes per device, which share it evenly; each is a rank
    #[arg(long, value_name = "K", default_value = "1", value_parser = clap::value_parser!(u32).range(1..))]
    ranks_per_device: u32,
    /// Milliseconds of device time to load an image, as measured by `alexnet bench data`; 0 if loading runs elsewhere
    #[arg(long, value_name = "MS", default_value = "0", value_parser = numbers::amount)]
    loading: f64,
    /// Memory bandwidth per device in GB/s, less where devices share it [default: measured, or from the data sheet]
    #[arg(long, value_name = "GB", value_parser = numbers::positive)]
    memory: Option<f64>,
    /// Device: `this` machine's CPU, measured now, or by data sheet skylake, knl, p100, v100, a100 or h100
    #[arg(long, value_name = "NAME", default_value = "this")]
    device: String,
    /// Network bandwidth per machine in Gbit/s
    #[arg(long, value_name = "GBPS", default_value = "10", value_parser = numbers::positive)]
    link: f64,
    /// Bandwidth between devices of one machine in Gbit/s per device
    #[arg(long, value_name = "GBPS", default_value = "80", value_parser = numbers::positive)]
    inner: f64,
    /// Latency per message in microseconds
    #[arg(long, value_name = "US", default_value = "5", value_parser = numbers::amount)]
    latency: f64,
    /// Global batch size
    #[arg(long, value_name = "B", default_value = "32768", value_parser = numbers::count)]
    batch: usize,
    /// Number of epochs
    #[arg(long, value_name = "E", default_value = "100", value_parser = numbers::count)]
    epochs: usize,
    /// Images per epoch; the default is ImageNet's
    #[arg(long, alias = "pictures", value_name = "N", default_value = "1281167", value_parser = numbers::count)]
    images: usize,
    /// Print one JSON document instead of a table
    #[arg(long)]
    json: bool,
}

/// Assumed fraction of peak operations per second that training sustains. Not measured on these devices.
const SUSTAINED: f64 = 0.5;

/// Name, single-precision FLOP/s, memory bytes per second, and description.
type ContactSheet = (&'static str, f64, f64, &'static str);

const SHEETS: [ContactSheet; 6] = [
    ("skylake", 3.2e12, 128e9, "Xeon Platinum 8160, one socket: 24 cores x 2.1 GHz x 64 operations; six channels DDR4-2666"),
    ("knl", 6.1e12, 400e9, "Xeon Phi 7250: 68 cores x 1.4 GHz x 64 operations; MCDRAM"),
    ("p100", 10.6e12, 732e9, "Tesla P100 SXM2"),
    ("v100", 15.7e12, 900e9, "Tesla V100 SXM2, single precision without tensor cores"),
    ("a100", 19.5e12, 1555e9, "A100 40 GB SXM, single precision without tensor cores"),
    ("h100", 66.9e12, 3350e9, "H100 SXM, single precision without tensor cores"),
];

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let net = presets::by_name(&args.net)?;
    let (flops, memory, about) = match SHEETS.iter().find(|sheet| sheet.0 == args.device) {
        Some(&(_, flops, memory, about)) => {
            let about = format!("{about}; assumed to sustain half of its {:.1} TFLOP/s", flops / 1e12);
            (SUSTAINED * flops, memory, about)
        }
        None if args.device == "this" => measured(&net)?,
        None => {
            let names: Vec<&str> = SHEETS.iter().map(|sheet| sheet.0).collect();
            bail!("--device {}: unknown device; expected one of: this, {}", args.device, names.join(", "));
        }
    };
    let bytes = |gigabits: f64| gigabits * 1e9 / 8.0;
    let (link, inner, latency) = (bytes(args.link), bytes(args.inner), args.latency * 1e-6);
    // Ranks that share a device take turns: to each it is slower by their number.
    let turns = f64::from(args.ranks_per_device);
    let memory = args.memory.map_or(memory, |gigabytes| gigabytes * 1e9);
    let each = Device { flops: flops / turns, memory: memory / turns, loading: args.loading * 1e-3 * turns };
    let devices = args.devices * args.ranks_per_device as usize;
    let cluster = Cluster { machines: args.machines, devices, link, inner, latency };
    let strategies = cost_model::ways(&net, &each, &cluster, args.batch)?;
    let steps = args.epochs as f64 * (args.images as f64 / args.batch as f64).ceil();
    let hours = |strategy: &Prediction| strategy.seconds * steps / 3600.0;
    if args.json {
        let to_json = |strategy: &Prediction| {
            json!({ "way": name(strategy.way), "seconds_per_step": strategy.seconds, "computing_seconds": strategy.computing,
                "copying_seconds": strategy.copying, "bytes_per_step": strategy.bytes, "efficiency": strategy.efficiency, "hours": hours(strategy) })
        };
        return output::print_json(&json!({
            "net": net.name, "machines": args.machines, "devices": args.devices, "ranks_per_device": args.ranks_per_device, "batch": args.batch, "epochs": args.epochs, "steps": steps,
            "device": { "flops": flops, "memory_bytes_per_second": memory, "about": about },
            "ways": strategies.iter().map(to_json).collect::<Vec<_>>(),
        }));
    }
    let mut rows = vec![
        ["strategy", "step", "computing", "copying", "sent per step, all ranks", "efficiency", "all epochs"].map(String::from),
    ];
    rows.extend(strategies.iter().map(|strategy| {
        let time = |seconds: f64| format!("{:.1} ms", seconds * 1e3);
        let long = hours(strategy);
        let all = if long < 2.0 { format!("{:.1} minutes", long * 60.0) } else { format!("{long:.1} hours") };
        let sent = format!("{:.1} MB", strategy.bytes / 1e6);
        [
            name(strategy.way).into(),
            time(strategy.seconds),
            time(strategy.computing),
            time(strategy.copying),
            sent,
            format!("{:.1} %", strategy.efficiency * 100.0),
            all,
        ]
    }));
    use Align::{Left, Right};
    output::print(&format!(
        "{}, {} x {} devices at {} Gbit/s, batch {}, {} epochs of {} images: an estimate, see docs/guide/plan.md\ndevice: {about}\n\n{}",
        net.name,
        args.machines,
        args.devices,
        args.link,
        with_commas(args.batch as u64),
        args.epochs,
        with_commas(args.images as u64),
        output::table([Left, Right, Right, Right, Right, Right, Right], &rows)
    ))
}

fn name(strategy: Strategy) -> &'static str {
    match strategy {
        Strategy::Data => "data",
        Strategy::Hybrid => "hybrid",
        Strategy::Towers => "towers",
    }
}

/// Images per measured step.
const MEASURED: usize = 32;

/// Measures this CPU: sustained FLOP/s (the best of three training steps), memory read bandwidth in bytes per second, and a
/// description.
fn measured(net: &Net) -> anyhow::Result<(f64, f64, String)> {
    let mut engine = Cpu::new(net, MEASURED, 0)?;
    init::initialise(&mut engine, 0)?;
    let mut work = Work::new(net, MEASURED, Mode::Train);
    work.warm_up(&mut engine)?;
    let best = work.times(&mut engine, 0.0)?[0].as_secs_f64();
    let shapes = net.shapes()?;
    let first = shapes.iter().find(|shape| shape.macs > 0).map_or(0, |shape| shape.macs);
    let operations = 2.0 * MEASURED as f64 * (3 * net.totals()?.macs - first) as f64;
    let (flops, memory) = (operations / best, engine.limits().read);
    let about = format!(
        "this CPU, {} threads: {MEASURED} images in {:.0} ms, so {:.0} GFLOP/s sustained; {:.1} GB/s from memory",
        engine.threads(),
        best * 1e3,
        flops / 1e9,
        memory / 1e9
    );
    Ok((flops, memory, about))
}

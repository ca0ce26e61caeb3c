//! `alexnet plan`: what training would take on machines that are not here.

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
    /// The network
    #[arg(long, value_name = "NAME", default_value = "alexnet-bn", value_parser = crate::net_option::names(), hide_possible_values = true)]
    net: String,
    /// Machines
    #[arg(long, value_name = "M", default_value = "1", value_parser = numbers::count)]
    machines: usize,
    /// Devices in each machine; each is a rank
    #[arg(long, value_name = "D", default_value = "1", value_parser = numbers::count)]
    devices: usize,
    /// Processes on each device, which share it evenly; each is a rank
    #[arg(long, value_name = "K", default_value = "1", value_parser = clap::value_parser!(u32).range(1..))]
    ranks_per_device: u32,
    /// Milliseconds of a device that reading an image takes, as `alexnet bench data` tells; 0 where others do it
    #[arg(long, value_name = "MS", default_value = "0", value_parser = numbers::amount)]
    loading: f64,
    /// Gigabytes a second that a device has from its memory, less where devices share one [default: measured, or of the sheet]
    #[arg(long, value_name = "GB", value_parser = numbers::positive)]
    memory: Option<f64>,
    /// What a device is: `this` processor, measured now, or by its data sheet skylake, knl, p100, v100, a100 or h100
    #[arg(long, value_name = "NAME", default_value = "this")]
    device: String,
    /// Gigabits a second out of a machine
    #[arg(long, value_name = "GBPS", default_value = "10", value_parser = numbers::positive)]
    link: f64,
    /// Gigabits a second out of a device to others of its machine
    #[arg(long, value_name = "GBPS", default_value = "80", value_parser = numbers::positive)]
    inner: f64,
    /// Microseconds that a message takes besides
    #[arg(long, value_name = "US", default_value = "5", value_parser = numbers::amount)]
    latency: f64,
    /// Images in a step, all devices together
    #[arg(long, value_name = "B", default_value = "32768", value_parser = numbers::count)]
    batch: usize,
    /// Passes over the images
    #[arg(long, value_name = "E", default_value = "100", value_parser = numbers::count)]
    epochs: usize,
    /// Images in a pass; the default is ImageNet's number
    #[arg(long, value_name = "N", default_value = "1281167", value_parser = numbers::count)]
    pictures: usize,
    /// One JSON document instead of a table
    #[arg(long)]
    json: bool,
}

/// The share of a sheet's operations that training is taken to sustain. Nothing here was measured on these devices.
const SUSTAINED: f64 = 0.5;

/// Name, single-precision operations a second, bytes of memory a second, and what is meant.
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
            let about = format!("{about}; half of its {:.1} TFLOP/s are taken to be sustained", flops / 1e12);
            (SUSTAINED * flops, memory, about)
        }
        None if args.device == "this" => measured(&net)?,
        None => {
            let names: Vec<&str> = SHEETS.iter().map(|sheet| sheet.0).collect();
            bail!("--device {}: no data sheet; there are this, {}", args.device, names.join(", "));
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
    let ways = cost_model::ways(&net, &each, &cluster, args.batch)?;
    let steps = args.epochs as f64 * (args.pictures as f64 / args.batch as f64).ceil();
    let hours = |way: &Prediction| way.seconds * steps / 3600.0;
    if args.json {
        let way = |way: &Prediction| {
            json!({ "way": name(way.way), "seconds_per_step": way.seconds, "computing_seconds": way.computing,
                "copying_seconds": way.copying, "bytes_per_step": way.bytes, "efficiency": way.efficiency, "hours": hours(way) })
        };
        return output::print_json(&json!({
            "net": net.name, "machines": args.machines, "devices": args.devices, "ranks_per_device": args.ranks_per_device, "batch": args.batch, "epochs": args.epochs, "steps": steps,
            "device": { "flops": flops, "memory_bytes_per_second": memory, "about": about },
            "ways": ways.iter().map(way).collect::<Vec<_>>(),
        }));
    }
    let mut rows =
        vec![["way", "step", "computing", "copying", "sent by all in a step", "efficiency", "all epochs"].map(String::from)];
    rows.extend(ways.iter().map(|way| {
        let time = |seconds: f64| format!("{:.1} ms", seconds * 1e3);
        let long = hours(way);
        let all = if long < 2.0 { format!("{:.1} minutes", long * 60.0) } else { format!("{long:.1} hours") };
        let sent = format!("{:.1} MB", way.bytes / 1e6);
        [
            name(way.way).into(),
            time(way.seconds),
            time(way.computing),
            time(way.copying),
            sent,
            format!("{:.1} %", way.efficiency * 100.0),
            all,
        ]
    }));
    use Align::{Left, Right};
    output::print(&format!(
        "{}, {} x {} devices at {} Gbit/s, batch {}, {} epochs of {} images: a prediction, see docs/guide/plan.md\ndevice: {about}\n\n{}",
        net.name,
        args.machines,
        args.devices,
        args.link,
        with_commas(args.batch as u64),
        args.epochs,
        with_commas(args.pictures as u64),
        output::table([Left, Right, Right, Right, Right, Right, Right], &rows)
    ))
}

fn name(way: Strategy) -> &'static str {
    match way {
        Strategy::Data => "data",
        Strategy::Hybrid => "hybrid",
        Strategy::Towers => "towers",
    }
}

/// Images in a measured step.
const MEASURED: usize = 32;

/// Operations a second that this processor sustains, the best of three steps of training; bytes a second that it reads from memory; and what is
/// meant.
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
        "this processor, {} threads: {MEASURED} images in {:.0} ms, so {:.0} GFLOP/s sustained; {:.1} GB/s from memory",
        engine.threads(),
        best * 1e3,
        flops / 1e9,
        memory / 1e9
    );
    Ok((flops, memory, about))
}

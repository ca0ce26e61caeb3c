//! `alexnet selftest`: comparison of this machine's engines with PyTorch's results.

use super::engine_args::EngineArgs;
use alexnet::engine::Precision;
use alexnet::engine::cpu::{Convolutions, Cpu};
use alexnet::net::presets;
use alexnet::selftest::{self, Bounds, Case, Report, compare, golden};
use anyhow::{Context, bail};

use crate::net_option::names;
use crate::numbers;
use crate::output;

const NAME: &str = concat!("alexnet ", env!("CARGO_PKG_VERSION"));

/// Options of `alexnet selftest`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Test only this network [default: all with reference values]
    #[arg(long, value_name = "NAME", value_parser = names(), hide_possible_values = true)]
    net: Option<String>,
    /// Seed of weights and images [default: 1]
    #[arg(long, value_name = "N", value_parser = numbers::seed)]
    seed: Option<u64>,
    /// Number of images [default: 2]
    #[arg(long, value_name = "N", value_parser = numbers::batch)]
    batch: Option<usize>,
    /// Number of classes [default: 1000]
    #[arg(long, value_name = "N", value_parser = numbers::count)]
    classes: Option<usize>,
    /// Image size in pixels (rows and columns) [default: the net's own]
    #[arg(long, value_name = "N", value_parser = numbers::pixels)]
    image_size: Option<usize>,
    /// Convolution algorithm; any other than direct, and other devices, are also compared with direct on the CPU, on each net
    /// with tanh and average pooling, where rounding cannot flip a gradient [default: ALEXNET_CONV, else direct]
    #[arg(long, value_name = "NAME", value_parser = ["direct", "winograd", "fastest"])]
    convolutions: Option<String>,
    #[command(flatten)]
    machine: EngineArgs,
    /// Print the computed values as JSON: an object for one network, else an array
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    if args.machine.precision() != Precision::F32 {
        bail!("--precision {}: selftest compares single precision; omit it", args.machine.precision());
    }
    let references = golden::all()?;
    let cases = cases(args, &references)?;
    let mut wrong = 0;
    let mut reports = Vec::new();
    let convolutions = match &args.convolutions {
        Some(name) => name.parse().map_err(anyhow::Error::msg)?,
        // Match other libraries' rounding, unless the environment says otherwise.
        None if std::env::var_os("ALEXNET_CONV").is_none() => Convolutions::Direct,
        None => Convolutions::from_env().map_err(anyhow::Error::msg)?,
    };
    // Direct convolution rounds as PyTorch does; everything else is compared with it where rounding cannot flip a gradient.
    let as_reference = |case: &Case| -> anyhow::Result<Report> {
        let engine = Cpu::new(&case.engines_net(), case.batch, args.machine.threads)?;
        Ok(selftest::run(case, NAME, &mut engine.with_convolutions(Convolutions::Direct))?)
    };
    let compute = |case: &Case| -> anyhow::Result<Report> {
        if args.machine.is_cpu() {
            let mut engine = args.machine.cpu(&case.engines_net(), case.batch)?.with_convolutions(convolutions);
            return Ok(selftest::run(case, NAME, &mut engine)?);
        }
        let mut engine = args.machine.engine(&case.engines_net(), case.batch)?;
        Ok(selftest::run(case, &format!("{NAME} on {}", args.machine.device()), &mut *engine)?)
    };
    let is_reference = args.machine.is_cpu() && convolutions == Convolutions::Direct;
    let bounds = if is_reference { Bounds::DIRECT } else { Bounds::WHERE_SLOPES_JUMP };
    for case in &cases {
        let report = compute(case)?;
        if !args.json {
            let known = reference(&report, &references);
            // Without stored reference values, the CPU engine serves as the reference.
            let own = if known.is_none() && !is_reference { Some(as_reference(case)?) } else { None };
            let mut right = print(&report, known.or(own.as_ref()), &bounds, "");
            if !is_reference {
                let twin = Case { net: selftest::smooth(&case.net), ..case.clone() };
                right &= print(&compute(&twin)?, Some(&as_reference(&twin)?), &Bounds::DIRECT, ", smooth twin");
            }
            wrong += usize::from(!right);
        }
        reports.push(report);
    }
    match (args.json, args.net.is_some(), reports.as_slice()) {
        (true, true, [report]) => output::print(&(serde_json::to_string_pretty(report)? + "\n"))?,
        (true, ..) => output::print(&(serde_json::to_string_pretty(&reports)? + "\n"))?,
        _ => {}
    }
    if wrong > 0 {
        bail!("{wrong} of {} cases differ from the reference; please report the lines above with your CPU's name", cases.len());
    }
    Ok(())
}

/// The requested cases, or all reference cases by default.
fn cases(args: &Args, references: &[Report]) -> anyhow::Result<Vec<Case>> {
    let asked = |net: &str, of: Option<&Report>| -> anyhow::Result<Case> {
        let mut preset = presets::by_name(net)?;
        let classes = args.classes.or(of.map(|r| r.classes)).unwrap_or(preset.classes());
        preset = preset.with_classes(classes);
        if let Some(size) = args.image_size.or(of.map(|r| r.input_size)) {
            preset = preset.with_image_size(size);
        }
        let seed = args.seed.or(of.map(|r| r.seed)).unwrap_or(1);
        let batch = args.batch.or(of.map(|r| r.batch)).unwrap_or(2);
        preset.check_image_size()?;
        let bytes = [4, batch, 3, preset.image_size, preset.image_size].map(|n| n as u128).iter().product::<u128>();
        alexnet::memory::check(bytes, || format!("a batch of {batch} images of {} pixels", preset.image_size))?;
        Ok(Case { net: preset, seed, batch })
    };
    match &args.net {
        Some(net) => Ok(vec![asked(net, None)?]),
        None => {
            let cases = references.iter().map(|r| asked(&r.net, Some(r)));
            let mut cases = cases.collect::<anyhow::Result<Vec<_>>>().context("reference cases")?;
            if !args.machine.is_cpu() {
                let local = |case: &Case| case.net.local_layer().is_some();
                let left_out: Vec<&str> = cases.iter().filter(|case| local(case)).map(|case| case.net.name.as_str()).collect();
                if !args.json {
                    output::say(&format!("left out: {}, whose locally connected layers need the CPU", left_out.join(", ")));
                }
                cases.retain(|case| !local(case));
            }
            Ok(cases)
        }
    }
}

/// The stored reference for the same case, if any.
fn reference<'a>(report: &Report, references: &'a [Report]) -> Option<&'a Report> {
    let key = |r: &Report| (r.net.clone(), r.seed, r.batch, r.classes, r.input_size);
    references.iter().find(|reference| key(reference) == key(report))
}

/// Prints a summary line, and one for each wrong quantity; returns whether all are right.
fn print(report: &Report, reference: Option<&Report>, bounds: &Bounds, twin: &str) -> bool {
    let name = format!("{} {}x{}{twin}", report.net, report.input_size, report.input_size);
    let Some(reference) = reference else {
        output::say(&format!("{name:38} losses {:.5?}; no reference values for this case", report.losses));
        return true;
    };
    let deviations = compare(report, reference, bounds);
    let worst = selftest::largest(&deviations);
    let verdict = if worst <= 1.0 { "equal" } else { "DIFFERENT" };
    output::say(&format!("{name:38} {verdict}: {} quantities, largest deviation {worst:.3} of the tolerance", deviations.len()));
    for deviation in deviations.iter().filter(|d| d.ratio > 1.0) {
        output::say(&format!("    {} deviates by {:.1} times the tolerance", deviation.what, deviation.ratio));
    }
    worst <= 1.0
}

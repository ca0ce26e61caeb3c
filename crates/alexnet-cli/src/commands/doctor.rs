//! `alexnet doctor`: what this machine is, how fast it is, whether it computes correctly, and what makes it slow.

use super::devices;
use crate::output::{self, Align};
use alexnet::doctor::Examination;
use anyhow::bail;
use serde_json::json;

/// Options of `alexnet doctor`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Print a JSON object instead of text
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let examination = Examination::of_this_machine()?;
    let cache = alexnet::pretrained::cache_folder();
    let devices = devices::rows();
    let advice = examination.advice();
    if args.json {
        let mut document = serde_json::to_value(&examination)?;
        document["version"] = json!(env!("CARGO_PKG_VERSION"));
        document["cache"] = json!(cache.ok().map(|folder| folder.display().to_string()));
        document["devices"] = json!(devices.iter().map(devices::Row::json).collect::<Vec<_>>());
        document["advice"] = json!(advice);
        output::print_json(&document)?;
    } else {
        let mut lines = machine(&examination);
        lines.extend(speeds(&examination));
        lines.extend(devices::summary(&devices).into_iter().map(|line| ["device".into(), line]));
        let cache = cache.map_or_else(|error| error.to_string(), |folder| output::path(&folder));
        lines.push(["published weights".into(), cache]);
        lines.extend(selftest(&examination));
        output::print(&output::table([Align::Left, Align::Left], &lines))?;
        output::say("");
        if advice.is_empty() {
            output::say("nothing makes this machine slower than it need be");
        }
        for line in &advice {
            output::say(&format!("- {line}"));
        }
    }
    if !examination.is_right() {
        bail!("this machine computes wrongly");
    }
    Ok(())
}

fn machine(examination: &Examination) -> Vec<[String; 2]> {
    let machine = &examination.machine;
    let features = examination.features.iter().map(|(name, has)| if *has { (*name).into() } else { format!("no {name}") });
    let gigabytes = |bytes: u64| format!("{:.1} GB", bytes as f64 / 1e9);
    let memory = match (machine.memory, machine.available) {
        (Some(all), Some(free)) => format!("{}, {} free", gigabytes(all), gigabytes(free)),
        (Some(all), None) => gigabytes(all),
        _ => "unknown".into(),
    };
    let threads = match machine.processors {
        Some(all) => format!("{} on {all} {}", machine.threads, output::plural(all as u64, "processor")),
        None => machine.threads.to_string(),
    };
    vec![
        ["alexnet".into(), format!("{} for {}-{}", env!("CARGO_PKG_VERSION"), std::env::consts::ARCH, std::env::consts::OS)],
        ["processor".into(), machine.processor.clone().unwrap_or_else(|| "unknown".into())],
        ["instruction set".into(), format!("{} ({})", examination.isa, features.collect::<Vec<_>>().join(", "))],
        ["threads".into(), threads],
        ["memory".into(), memory],
    ]
}

fn speeds(examination: &Examination) -> Vec<[String; 2]> {
    let speeds = &examination.speeds;
    let giga = |number: f64| format!("{:.0}", number / 1e9);
    vec![
        [
            "multiply-adds".into(),
            format!(
                "{} GFLOP/s, {} with one thread; {} GOP/s in int8",
                giga(speeds.flops),
                giga(speeds.flops_of_one_thread),
                giga(speeds.byte_ops)
            ),
        ],
        ["memory reads".into(), format!("{:.1} GB/s", speeds.read / 1e9)],
        [
            "one image".into(),
            format!("{:.1} ms, {:.1} ms in int8 (torchvision, 224 pixels)", 1e3 * speeds.one_image, 1e3 * speeds.one_image_int8),
        ],
        [
            "training".into(),
            format!("{:.0} images/s, {:.0} in bf16 (torchvision, 128 pixels)", speeds.training, speeds.training_bf16),
        ],
    ]
}

fn selftest(examination: &Examination) -> Vec<[String; 2]> {
    let line = |tested: &alexnet::doctor::Tested| {
        let verdict = if tested.is_right() { "equal to PyTorch" } else { "DIFFERENT from PyTorch" };
        let text = format!(
            "{verdict}: {} at {} pixels, {} quantities, largest deviation {:.3} of the tolerance",
            tested.net, tested.size, tested.quantities, tested.deviation
        );
        ["selftest".into(), text]
    };
    examination.selftest.iter().map(line).collect()
}

//! `alexnet reproduce`: the paper's claims, put to the test.

use crate::progress::duration;
use crate::{model_file, net_option, numbers, output};
use alexnet::reproduce::{self, Progress, STUDIES, Setup, Study};
use clap::builder::PossibleValuesParser;
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Examples at the end of `--help`.
pub(crate) const EXAMPLES: &str = "\
Examples:
  alexnet reproduce list
      the studies, with the paper's numbers
  alexnet reproduce figure-1 --quick --data cifar10
      ReLU against tanh, in some minutes
  alexnet reproduce ablation --data photos/train --val photos/val --what lrn,dropout
      what each part is worth on your own images";

/// Options of `alexnet reproduce`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Study; `list` prints all
    #[arg(value_name = "NAME", default_value = "list")]
    name: String,
    /// Training images: a folder of class folders, an archive, a list, or another layout that `docs/guide/data.md` names [default: the built-in synthetic set]
    #[arg(long, value_name = "PATH", help_heading = "Data")]
    data: Option<PathBuf>,
    /// Validation images, in the same form [default: a part of the training images]
    #[arg(long, value_name = "PATH", help_heading = "Data")]
    val: Option<PathBuf>,
    /// Epochs of each run [default: the study's]
    #[arg(long, value_name = "N", value_parser = numbers::count, help_heading = "Runs")]
    epochs: Option<usize>,
    /// Seeds, each of which trains all arms anew; more seeds can be added to a finished study [default: the study's]
    #[arg(long, value_name = "N", value_parser = numbers::whole(1..=1000), help_heading = "Runs")]
    seeds: Option<usize>,
    /// First seed
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = numbers::seed, help_heading = "Runs")]
    seed: u64,
    /// Take minutes instead of hours: fewer epochs, one seed
    #[arg(long, help_heading = "Runs")]
    quick: bool,
    /// Parts that the ablation removes, one at a time: relu, lrn, overlap, towers, conv4, dropout, augmentation, pca-noise [default: all]
    #[arg(long, value_name = "PARTS", value_delimiter = ',', help_heading = "Runs")]
    what: Vec<String>,
    /// Network, for studies that are not about its layers [default: paper]
    #[arg(long, value_name = "NAME", value_parser = net_option::names(), hide_possible_values = true, help_heading = "Runs")]
    net: Option<String>,
    /// Image size in pixels (rows and columns) [default: 128 with --data, 96 for the built-in set; the net's own for nets of small images]
    #[arg(long, value_name = "N", value_parser = numbers::pixels, help_heading = "Runs")]
    image_size: Option<usize>,
    /// Change a key of the recipe in all runs; `alexnet recipes keys` lists all. May be repeated
    #[arg(long, value_name = "KEY=VALUE", help_heading = "Runs")]
    set: Vec<String>,
    /// Look at this model instead of training one: ten-crop, ensemble (several), figure-3, figure-4, error-rates. May be repeated
    #[arg(long, value_name = "FILE", help_heading = "Runs")]
    model: Vec<PathBuf>,
    /// Precision of training: f32 or bf16 [default: f32]
    #[arg(long, value_name = "KIND", value_parser = PossibleValuesParser::new(["f32", "bf16"]), hide_possible_values = true, help_heading = "Runs")]
    precision: Option<String>,
    /// Number of threads; does not affect results [default: one per core]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true, value_parser = numbers::threads, help_heading = "Runs")]
    threads: usize,
    /// Folder for the runs and the reports; a study that lies there is continued [default: reproduce/NAME]
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    out: Option<PathBuf>,
    /// Print the report as JSON
    #[arg(long, help_heading = "Output")]
    json: bool,
}

pub(crate) fn run(args: &Args, quiet: bool) -> anyhow::Result<()> {
    if args.name == "list" {
        return list(args.json);
    }
    let study = reproduce::by_name(&args.name)?;
    let models = args.model.iter().map(|model| model_file::locate(model, quiet)).collect::<Result<_, _>>()?;
    let setup = Setup {
        data: args.data.clone(),
        val: args.val.clone(),
        net: args.net.clone(),
        image_size: args.image_size,
        epochs: args.epochs,
        seeds: args.seeds,
        seed: args.seed,
        quick: args.quick,
        precision: args.precision.clone(),
        set: args.set.clone(),
        what: args.what.clone(),
        models,
        threads: args.threads,
    };
    let stop = Arc::new(AtomicBool::new(false));
    on_signal(stop.clone())?;
    let out = args.out.clone().unwrap_or_else(|| PathBuf::from("reproduce").join(study.name));
    let reports = study.run(&setup, &out, &stop, &mut |progress| {
        if !quiet {
            say(study, &progress);
        }
    })?;
    if args.json {
        return output::print_as_is(&std::fs::read_to_string(&reports.json)?);
    }
    let finding = reports.finding;
    let mut text = format!("{}\n{}\n", study.title, study.claim);
    for table in &finding.tables {
        let rows: Vec<&[String]> = std::iter::once(&table.head).chain(&table.rows).map(Vec::as_slice).collect();
        text += &format!("\n{}\n{}", table.title, output::columns(&vec![output::Align::Left; table.head.len()], &rows));
    }
    text += &format!("\nthe paper  {}\nhere       {}\nverdict    {}\n", study.paper, finding.ours, finding.verdict.text());
    text += &format!("report     {}\n", output::path(&reports.html));
    output::print(&text)
}

/// Stops the run in progress with everything saved at the first signal, and the program at the second one.
fn on_signal(stop: Arc<AtomicBool>) -> anyhow::Result<()> {
    super::signals::handle(super::signals::Which::NotIgnored, move || {
        if stop.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        output::note("stopping after this step; once more to stop at once");
    })?;
    Ok(())
}

fn list(json: bool) -> anyhow::Result<()> {
    if json {
        let about = |study: &&Study| {
            let scale = |scale: reproduce::Scale| json!({ "epochs": scale.epochs, "seeds": scale.seeds });
            json!({
                "name": study.name, "title": study.title, "claim": study.claim, "place": study.place, "paper": study.paper,
                "full": scale(study.full), "quick": scale(study.quick), "takes_models": study.takes_models,
            })
        };
        return output::print_json(&STUDIES.iter().map(about).collect::<Vec<_>>());
    }
    let mut rows = vec![["study", "place", "the paper's number", "claim"].map(String::from)];
    rows.extend(STUDIES.iter().map(|study| [study.name, study.place, study.paper, study.claim].map(String::from)));
    output::print(&output::table([output::Align::Left; 4], &rows))
}

fn say(study: &Study, progress: &Progress<'_>) {
    match progress {
        Progress::Planned(plan) => {
            let runs = plan.arms * plan.seeds;
            if runs == 0 {
                return;
            }
            let left = runs - plan.finished;
            let count = |n: usize, noun: &str| format!("{n} {}", output::plural(n as u64, noun));
            let (arms, seeds, epochs) = (count(plan.arms, "arm"), count(plan.seeds, "seed"), count(plan.epochs, "epoch"));
            let mut line = format!("{}: {} of {epochs}, {arms} x {seeds}", study.name, count(runs, "run"));
            if plan.finished > 0 {
                line += &format!("; {} finished", plan.finished);
            }
            if let Some(time) = plan.time.filter(|_| left > 0) {
                let bound = if plan.at_most { "at most" } else { "about" };
                line += &format!("; {bound} {} on this machine, {:.1} GB of disk", duration(time), plan.disk as f64 / 1e9);
            }
            output::say(&line);
        }
        Progress::Run(name, number, all) => output::say(&format!("run {number} of {all}: {name}")),
        Progress::Epoch(epoch, epochs, train, val) => {
            let val = val.map_or(String::new(), |val| format!(" | validation: top-1 {:.2} %", 100.0 * val));
            output::say(&format!("  epoch {epoch}/{epochs}: top-1 {:.2} %{val}", 100.0 * train));
        }
        Progress::Note(line) => output::note(line),
    }
}

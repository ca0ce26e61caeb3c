//! `alexnet eval`: evaluation of a model on labelled images.

use crate::{data_set, model_file, net_option, numbers, output, progress};

use super::dist_args;
use super::engine_args::{self, EngineArgs};
use super::labels::Labels;
use alexnet::data::{self, loader};
use alexnet::distributed::{Communicator, Partition};
use alexnet::eval::{self, Report};
use alexnet::formats;
use alexnet::image::crop::Crops;
use anyhow::Context;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use unicode_width::UnicodeWidthStr;

/// Options of `alexnet eval`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Model file, such as RUN/best.safetensors, or one of PyTorch, ONNX, Caffe or Paddle; or published weights, such as torchvision
    #[arg(long, value_name = "FILE", help_heading = "Model")]
    model: PathBuf,
    /// Network in the model file, if the file does not specify it
    #[arg(long, value_name = "NAME", value_parser = net_option::names(), hide_possible_values = true, help_heading = "Model")]
    net: Option<String>,
    /// Images: a folder of class folders, an archive, a list, or another layout that `docs/guide/data.md` names [default: the built-in test images]
    #[arg(long, value_name = "PATH", help_heading = "Data")]
    data: Option<PathBuf>,
    #[command(flatten)]
    lists: data_set::ListArgs,
    #[command(flatten)]
    labels: Labels,
    /// Crops of each image: 1 (centre) or 10 (as in the paper, with averaged softmax)
    #[arg(long, value_name = "1|10", default_value = "1", value_parser = engine_args::crops, help_heading = "Evaluation")]
    crops: Crops,
    /// Batch size
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = numbers::batch, help_heading = "Evaluation")]
    batch: usize,
    #[command(flatten, next_help_heading = "Devices")]
    machine: EngineArgs,
    #[command(flatten, next_help_heading = "Devices")]
    ranks: dist_args::DistArgs,
    /// Print one JSON object instead of a table
    #[arg(long, help_heading = "Output")]
    json: bool,
}

pub(crate) fn run(args: &Args, quiet: bool) -> anyhow::Result<()> {
    dist_args::together(&args.ranks, quiet, |ranks, quiet| run_on(args, quiet, ranks))
}

/// Evaluates as one of several ranks, each of which takes a part of the images.
fn run_on(args: &Args, quiet: bool, ranks: &Arc<dyn Communicator>) -> anyhow::Result<()> {
    let start = Instant::now();
    // Only one rank prints the notes.
    let (path, net) = (&model_file::locate(&args.model, quiet)?, args.net.as_deref());
    let mut model = if ranks.rank() == 0 { model_file::open_unchecked(path, net)? } else { formats::load(path, net)? };
    model_file::finite(path, &model)?;
    let order = args.labels.apply(&mut model)?;
    let source = match &args.data {
        Some(path) => data_set::open(&args.lists.source(path), data::Split::Validation, data::Demand::WithImages, quiet)?.source,
        None => data::synthetic(data::Split::Test, 0),
    };
    let present = source.classes().len();
    let source = eval::for_model(source, &model.classes, order).with_context(|| path.display().to_string())?;
    model.classes = source.classes().to_vec();
    if present < model.classes.len() && !quiet {
        output::note(&format!(
            "note: images of {present} of the model's {} classes; accuracies cover only these, while predictions may be any class",
            model.classes.len()
        ));
    }
    // Ten crops are ten inputs to the engine.
    let options = loader::Options {
        batch: args.batch.min(source.len()).div_ceil(args.crops.count()),
        threads: args.machine.threads,
        // Each image is read once, so caching is useless.
        memory: Some(0),
        ..Default::default()
    };
    let mut engine = args.machine.of_rank(&**ranks).engine_of(&mut model, options.batch * args.crops.count())?;
    let loader = loader::Loader::sequential(source.clone(), model.preprocess.clone(), args.crops, options)?;
    let loader = loader.with_cut(Partition::new(ranks.rank(), ranks.size(), None)?);

    let bar = progress::images(source.len(), quiet)?;
    let report = eval::evaluate_on(&**ranks, &mut *engine, &loader, &model.classes, args.crops.count(), &mut |done| {
        bar.set_position(done as u64);
        true
    })?;
    bar.finish_and_clear();
    if ranks.rank() > 0 {
        return Ok(());
    }
    for (i, why) in &report.broken {
        output::note(&format!("left out: {}: {why}", source.name(*i as usize)));
    }
    let seconds = start.elapsed().as_secs_f64();
    if args.json {
        output::print_json(&json(&report, seconds)?)?;
    } else {
        output::print(&table(&report, seconds))?;
    }
    Ok(())
}

fn json(report: &Report, seconds: f64) -> anyhow::Result<serde_json::Value> {
    let mut json = serde_json::to_value(report)?;
    if let Some(object) = json.as_object_mut() {
        object.insert("broken".into(), report.broken.len().into());
        object.insert("seconds".into(), seconds.into());
    }
    Ok(json)
}

fn table(report: &Report, seconds: f64) -> String {
    let mut lines = Vec::new();
    let Report { images, top1, top5, loss, crops, .. } = report;
    let crop = if *crops == 1 { "centre crop" } else { "ten crops" };
    let top5 = if report.tells_top5() { format!("top-5 {:.2} %, ", top5 * 100.0) } else { String::new() };
    lines.push(format!("{images} images, {crop}: top-1 {:.2} %, {top5}loss {loss:.4}, {seconds:.1} s", top1 * 100.0));
    if !report.broken.is_empty() {
        lines.push(format!("{} images could not be read and were skipped", report.broken.len()));
    }
    // A small set may cover ten of a thousand classes; a line for each of the others would bury them.
    let shown = || report.per_class.iter().enumerate().filter(|(_, class)| class.images > 0);
    let width = shown().map(|(_, class)| output::name(&class.class).width()).max().unwrap_or(0).max(5);
    // East Asian wide characters take two columns.
    let padded = |text: &str| format!("{text}{}", " ".repeat(width.saturating_sub(text.width())));
    lines.push(format!("{}  images   top-1  most often mistaken for", padded("class")));
    for (truth, class) in shown() {
        let top1 = class.top1.map_or("-".into(), |share| format!("{:.1} %", share * 100.0));
        let wrong = report.confusion[truth].iter().enumerate().filter(|&(answer, &n)| answer != truth && n > 0);
        // The first of equals, so that equal reports print the same.
        let wrong = wrong.max_by_key(|&(answer, &n)| (n, std::cmp::Reverse(answer)));
        let wrong = wrong.map_or(String::new(), |(answer, n)| format!("{} ({n})", output::name(&report.per_class[answer].class)));
        let line = format!("{}  {:8}  {top1:>6}  {wrong}", padded(&output::name(&class.class)), class.images);
        lines.push(line.trim_end().to_string());
    }
    match report.per_class.len() - shown().count() {
        0 => {}
        1 => lines.push("1 class has no images in this set".into()),
        n => lines.push(format!("{n} classes have no images in this set")),
    }
    lines.join("\n") + "\n"
}

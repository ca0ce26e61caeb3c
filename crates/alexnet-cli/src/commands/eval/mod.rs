//! `alexnet eval`: evaluation of a model on labelled images.

mod answers;
mod table;

use crate::{data_set, model_file, net_option, numbers, output, progress};

use super::dist_args;
use super::engine_args::{self, EngineArgs};
use super::labels::Labels;
use alexnet::data::{self, loader};
use alexnet::distributed::{Communicator, Partition};
use alexnet::eval::{self, Report};
use alexnet::formats;
use alexnet::image::crop::Crops;
use answers::Answers;
use anyhow::{Context, bail};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

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
    split: data_set::SplitArg,
    #[command(flatten)]
    labels: Labels,
    /// Crops of each image: 1 (centre) or 10 (as in the paper, with averaged softmax)
    #[arg(long, value_name = "1|10", default_value = "1", value_parser = engine_args::crops, help_heading = "Evaluation")]
    crops: Crops,
    /// K of the top-K accuracy and of the classes per row of --answers
    #[arg(long, value_name = "K", default_value_t = eval::TOP5, value_parser = numbers::count, help_heading = "Evaluation")]
    top: usize,
    /// Count predictions with a probability below X as "unknown": coverage, and accuracy of the others
    #[arg(long, value_name = "X", value_parser = numbers::probability, help_heading = "Evaluation")]
    threshold: Option<f64>,
    /// Batch size
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = numbers::batch, help_heading = "Evaluation")]
    batch: usize,
    #[command(flatten, next_help_heading = "Devices")]
    machine: EngineArgs,
    #[command(flatten, next_help_heading = "Devices")]
    ranks: dist_args::DistArgs,
    /// Write a row per image to a .csv, .jsonl or .parquet file: name, label, prediction, probabilities, errors
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    answers: Option<PathBuf>,
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
    let format = args.answers.as_deref().map(answers::format).transpose()?;
    if format.is_some() && ranks.size() > 1 {
        bail!("--answers: not supported with several processes; run one");
    }
    // Only one rank prints the notes.
    let (path, net) = (&model_file::locate(&args.model, quiet)?, args.net.as_deref());
    if let Some(out) = &args.answers {
        output::not_over_input("--answers", out, args.data.iter().chain(&args.lists.classes).chain([path]))?;
    }
    let mut model = if ranks.rank() == 0 { model_file::open_unchecked(path, net)? } else { formats::load(path, net)? };
    model_file::finite(path, &model)?;
    let order = args.labels.apply(&mut model)?;
    let source = match &args.data {
        Some(path) => args.split.open(&args.lists.source(path), quiet)?.source,
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
    let options = eval::Options { crops: args.crops.count(), top: args.top, threshold: args.threshold };
    let table = format.zip(args.answers.as_deref());
    let mut answers = Answers::create(&bar, &*source, options, table)?;
    let report = eval::evaluate_on(&**ranks, &mut *engine, &loader, &model.classes, options, &mut answers);
    bar.finish_and_clear();
    let report = answers.finish(report)?;
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
        output::print(&table::of(&report, seconds))?;
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

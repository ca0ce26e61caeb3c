//! `alexnet eval`: evaluation of a model on labelled images.

mod answers;
mod table;

use crate::{data_set, model_file, net_option, numbers, output, progress};

use super::dist_args;
use super::engine_args::{self, EngineArgs};
use super::labels::Labels;
use alexnet::class_match::{LabelOrder, match_models};
use alexnet::data::{self, Dataset, loader};
use alexnet::distributed::{Communicator, Partition};
use alexnet::engine::Engine;
use alexnet::eval::{self, Pooled, Report};
use alexnet::formats::{self, Model};
use alexnet::image::crop::Crops;
use answers::Answers;
use anyhow::{Context, bail};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// Options of `alexnet eval`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Model file, such as RUN/best.safetensors, or one of PyTorch, ONNX, Caffe or Paddle; or published weights, such as torchvision.
    /// Repeat for an ensemble: the mean of the models' probabilities, and each model's own accuracy
    #[arg(long = "model", value_name = "FILE", required = true, help_heading = "Model")]
    models: Vec<PathBuf>,
    /// Network in the model files, if they do not specify it
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
    let paths = args.models.iter().map(|model| model_file::locate(model, quiet)).collect::<anyhow::Result<Vec<_>>>()?;
    if let Some(out) = &args.answers {
        output::not_over_input("--answers", out, args.data.iter().chain(&args.lists.classes).chain(&paths))?;
    }
    let (mut model, order) = open(args, &paths[0], ranks)?;
    let outputs = outputs(args, &paths, &model.classes)?;
    let source = match &args.data {
        Some(path) => args.split.open(&args.lists.source(path), quiet)?.source,
        None => data::synthetic(data::Split::Test, 0),
    };
    let present = source.classes().len();
    let own = model.classes.clone();
    let source = eval::for_model(source, &own, order).with_context(|| paths[0].display().to_string())?;
    model.classes = source.classes().to_vec();
    if present < model.classes.len() && !quiet {
        output::note(&format!(
            "note: images of {present} of the model's {} classes; accuracies cover only these, while predictions may be any class",
            model.classes.len()
        ));
    }
    let bar = progress::images(source.len() * paths.len(), quiet)?;
    let options = eval::Options { crops: args.crops.count(), top: args.top, threshold: args.threshold };
    let table = format.zip(args.answers.as_deref());
    let mut answers = Answers::create(&bar, &*source, options, table)?;
    let classes = model.classes.clone();
    let (report, members) = match paths.as_slice() {
        [_] => {
            let (mut engine, loader) = args.prepare(&mut model, &source, ranks)?;
            (eval::evaluate_on(&**ranks, &mut *engine, &loader, &classes, options, &mut answers), Vec::new())
        }
        paths => {
            let mut pooled = Pooled::new(&classes, options);
            let mut members = Vec::new();
            // One after another, so that one is in memory.
            let mut first = Some(model);
            for (i, path) in paths.iter().enumerate() {
                let mut model = match first.take() {
                    Some(model) => model,
                    None => open(args, path, ranks)?.0,
                };
                let (mut engine, loader) = args.prepare(&mut model, &source, ranks)?;
                let mut progress = |done: usize| {
                    bar.set_position((i * source.len() + done) as u64);
                    true
                };
                let report = pooled.add(&**ranks, &mut *engine, &loader, &outputs[i], &mut progress);
                members.push((name(path), report.with_context(|| name(path))?));
            }
            (pooled.report(&**ranks, &mut answers), members)
        }
    };
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
        output::print_json(&json(&report, &members, seconds)?)?;
    } else {
        output::print(&table::of(&report, &members, seconds))?;
    }
    Ok(())
}

/// A model's name in messages: its file.
fn name(path: &Path) -> String {
    path.display().to_string()
}

/// Opens a model, with the class names that the options give.
fn open(args: &Args, path: &Path, ranks: &Arc<dyn Communicator>) -> anyhow::Result<(Model, LabelOrder)> {
    let net = args.net.as_deref();
    // Only one rank prints the notes.
    let mut model = if ranks.rank() == 0 { model_file::open_unchecked(path, net)? } else { formats::load(path, net)? };
    model_file::finite(path, &model)?;
    let order = args.labels.apply(&mut model)?;
    Ok((model, order))
}

/// For each model, its outputs of the first one's classes, checked before any is evaluated.
fn outputs(args: &Args, paths: &[PathBuf], classes: &[String]) -> anyhow::Result<Vec<Vec<usize>>> {
    let mut all = vec![Vec::new()];
    for path in &paths[1..] {
        let mut model = formats::load(path, args.net.as_deref())?;
        args.labels.apply(&mut model)?;
        all.push(match_models((&name(&paths[0]), classes), (&name(path), &model.classes))?);
    }
    Ok(all)
}

impl Args {
    /// A model's engine, and a loader of the images as it sees them.
    fn prepare(
        &self,
        model: &mut Model,
        source: &Arc<dyn Dataset>,
        ranks: &Arc<dyn Communicator>,
    ) -> anyhow::Result<(Box<dyn Engine + Send>, loader::Loader)> {
        // Ten crops are ten inputs to the engine.
        let options = loader::Options {
            batch: self.batch.min(source.len()).div_ceil(self.crops.count()),
            threads: self.machine.threads,
            // Each image is read once, so caching is useless.
            memory: Some(0),
            ..Default::default()
        };
        let engine = self.machine.of_rank(&**ranks).engine_of(model, options.batch * self.crops.count())?;
        let loader = loader::Loader::sequential(source.clone(), model.preprocess.clone(), self.crops, options)?;
        Ok((engine, loader.with_cut(Partition::new(ranks.rank(), ranks.size(), None)?)))
    }
}

/// The report as JSON. With several models, `models` has the accuracy of each.
fn json(report: &Report, members: &[(String, Report)], seconds: f64) -> anyhow::Result<serde_json::Value> {
    let mut json = serde_json::to_value(report)?;
    if let Some(object) = json.as_object_mut() {
        object.insert("broken".into(), report.broken.len().into());
        object.insert("seconds".into(), seconds.into());
        let one = |(model, report): &(String, Report)| {
            let Report { top1, top5, top_k, loss, .. } = report;
            let ece = report.calibration.ece;
            serde_json::json!({ "model": model, "top1": top1, "top5": top5, "top_k": top_k, "loss": loss, "ece": ece })
        };
        if !members.is_empty() {
            object.insert("models".into(), members.iter().map(one).collect());
        }
    }
    Ok(json)
}

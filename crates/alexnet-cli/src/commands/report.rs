//! `alexnet report`: regeneration of a run's report.

use super::engine_args::EngineArgs;
use crate::{data_set, numbers, output, progress};
use alexnet::data::{self, Dataset, loader};
use alexnet::eval::{self, Report};
use alexnet::formats::{self, Model};
use alexnet::report::{Evaluated, Filters, Page, REPORT, Run, newest_model};
use alexnet::train::config::Config;
use alexnet::{engine, files};
use anyhow::Context;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Options of `alexnet report`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run folder
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// Images to evaluate the best model on [default: the run's validation images]
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,
    /// Output file [default: RUN/report.html]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Batch size
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = numbers::batch)]
    batch: usize,
    #[command(flatten)]
    machine: EngineArgs,
    /// Print one JSON object: the report's path and the evaluation
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args, quiet: bool) -> anyhow::Result<()> {
    let run = Run::read(&args.run)?;
    let config = Config::read(&args.run.join("config.toml"))?;
    let out = args.out.clone().unwrap_or_else(|| args.run.join(REPORT));
    let path = newest_model(&args.run);
    let model = path.as_deref().map(formats::read).transpose()?;
    let net = match &model {
        Some(model) => model.net.clone(),
        None => config.recipe.prepare(config.net()?),
    };
    let channels = model.as_ref().map_or_else(|| config.recipe.preprocess(&net), |model| model.preprocess.clone()).channels;
    let before = Filters::before(&config, &net, channels);
    let after = path.as_deref().and_then(Filters::in_model);
    let found = match (model, path.as_deref()) {
        (Some(model), Some(path)) => evaluate(args, &config, model, path, quiet)?,
        _ => None,
    };
    let evaluated = found.as_ref().map(|found| Evaluated::new(&found.of, &found.report, &*found.source));
    let page = Page {
        run: &run,
        net: Some(&net),
        evaluated: evaluated.as_ref(),
        before: before.as_ref(),
        after: after.as_ref(),
        live: false,
    };
    let html = page.html();
    files::write_atomic(&out, |file| file.write_all(html.as_bytes()))?;
    if args.json {
        let report = found.as_ref().map(|found| &found.report);
        output::print_json(&json!({ "report": out, "bytes": html.len(), "epochs": run.done(), "evaluation": report }))?;
    } else if !quiet {
        let title = found.as_ref().map_or("no model or no validation images yet".to_string(), |Found { of, report, .. }| {
            format!("{of}: {} images, top-1 {:.2} %", report.images, report.top1 * 100.0)
        });
        output::print(&format!("{}\n{}\n", output::name(&title), output::path(&out)))?;
    }
    Ok(())
}

/// Evaluation of a run's model.
struct Found {
    /// Which model, and on which images if not the run's own.
    of: String,
    report: Report,
    source: Arc<dyn Dataset>,
}

/// Evaluates the model, if there are images.
fn evaluate(args: &Args, config: &Config, mut model: Model, path: &Path, quiet: bool) -> anyhow::Result<Option<Found>> {
    let source = match &args.data {
        Some(path) => data_set::open(&data::Source::new(path), data::Split::Validation, data::Demand::WithImages, quiet)?.source,
        None => {
            alexnet::train::data_sets(&mut config.clone(), false, &mut data_set::Notes { quiet })
                .context("the run's images (--data selects others)")?
                .1
        }
    };
    if source.is_empty() {
        return Ok(None);
    }
    let source = eval::by_name(source, &model.classes)?;
    // The run may have trained on a device in a precision that the CPU does not support.
    let of_run = config.precision.parse::<engine::Precision>().ok();
    let precision = args.machine.precision.or(of_run.filter(|kind| !args.machine.is_cpu() || kind.runs_on_cpu()));
    let machine = EngineArgs { precision, ..args.machine.clone() };
    let options = loader::Options {
        batch: args.batch.min(source.len()),
        threads: args.machine.threads,
        // Each image is read once, so caching is useless.
        memory: Some(0),
        ..Default::default()
    };
    let mut engine = machine.engine_of(&mut model, options.batch)?;
    let loader =
        loader::Loader::sequential(source.clone(), model.preprocess.clone(), alexnet::image::crop::Crops::Centre, options)?;
    let bar = progress::images(source.len(), quiet)?;
    let engine: &mut dyn engine::Engine = &mut *engine;
    let report = eval::evaluate(engine, &loader, &model.classes, 1, &mut |done| {
        bar.set_position(done as u64);
        true
    })?;
    bar.finish_and_clear();
    let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let on = args.data.as_ref().map_or_else(String::new, |data| format!(" on {}", data.display()));
    Ok(Some(Found { of: format!("{name}{on}"), report, source }))
}

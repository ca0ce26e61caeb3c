//! `alexnet average`: one model from the mean of several models' weights.

use crate::{data_set, model_file, numbers, output};

use alexnet::average::{average, estimate_statistics, models_of};
use alexnet::data::loader::{Augment, Loader, Options};
use alexnet::data::{Demand, Split};
use alexnet::engine::cpu::Cpu;
use alexnet::engine::{ParameterStore, load_model};
use alexnet::formats;
use anyhow::bail;
use std::path::PathBuf;

/// Options of `alexnet average`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run folders, which stand for their snapshots (`train --keep-every`) or, without any, for their best model; or model files
    #[arg(required = true, value_name = "RUN|MODEL")]
    models: Vec<PathBuf>,
    /// Output file
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Training images, on which the running statistics of batch normalisation are estimated anew [default: they are averaged]
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,
    #[command(flatten)]
    lists: data_set::ListArgs,
    /// Batch size, for --data
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = numbers::batch)]
    batch: usize,
    /// Number of threads; does not affect results [default: one per core]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true, value_parser = numbers::threads)]
    threads: usize,
    /// Print a JSON object instead of text
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args, quiet: bool) -> anyhow::Result<()> {
    if args.out.extension().is_some_and(|ending| ending != "safetensors") {
        bail!(
            "--out {}: the average is written as .safetensors; `alexnet convert` turns it into other formats",
            args.out.display()
        );
    }
    let (mut models, mut seen) = (Vec::new(), Vec::new());
    for argument in &args.models {
        let argument = if argument.is_dir() { argument.clone() } else { model_file::locate(argument, quiet)? };
        for path in models_of(&argument)? {
            if path == args.out {
                bail!("--out {}: same file as one of the models; choose another name", args.out.display());
            }
            let whole = path.canonicalize().unwrap_or_else(|_| path.clone());
            if seen.contains(&whole) {
                bail!("{}: given twice, so that it would count double", path.display());
            }
            seen.push(whole);
            let model = model_file::open(&path, None)?;
            models.push((path, model));
        }
    }
    let mut model = average(&models)?;
    let folded = models.iter().any(|(_, model)| model.recipe["batch_norm"] == true);
    let mut statistics = match model.net.has_batch_norm() {
        true => Some("averaged"),
        false => folded.then_some("folded"),
    };
    if let (Some(data), true) = (&args.data, model.net.has_batch_norm()) {
        let source = data_set::open(&args.lists.source(data), Split::Train, Demand::WithImages, quiet)?.source;
        // A last batch of a few images would count as much as the others.
        let options = Options {
            batch: args.batch.min(source.len()).max(1),
            threads: args.threads,
            drop_last: true,
            memory: Some(0),
            ..Options::default()
        };
        let mut engine = Cpu::new(&model.net, options.batch, args.threads)?;
        load_model(&model, &mut engine)?;
        estimate_statistics(&mut engine, &Loader::new(source, model.preprocess.clone(), Augment::none(), options)?)?;
        for (name, values) in &mut model.tensors {
            *values = engine.parameter(name)?.into();
        }
        statistics = Some("estimated");
    }
    formats::write(&args.out, &model)?;
    let paths: Vec<&PathBuf> = models.iter().map(|(path, _)| path).collect();
    if args.json {
        return output::print_json(&serde_json::json!({ "out": args.out, "models": paths, "batch_norm": statistics }));
    }
    output::say(&format!("{}: the average of {} models", output::path(&args.out), paths.len()));
    if !quiet {
        paths.iter().for_each(|path| output::say(&format!("  {}", output::path(path))));
        match (statistics, &args.data) {
            (Some("averaged"), _) => {
                output::note("note: running statistics of batch normalisation are averaged too; --data estimates them anew")
            }
            (Some("folded"), Some(_)) => output::note(
                "note: these models have their batch normalisation folded into their weights (batch_norm in the recipe), so there are no \
                 running statistics to estimate, and --data was not used",
            ),
            (None, Some(_)) => output::note("note: the net has no batch normalisation, so --data was not needed"),
            _ => {}
        }
    }
    Ok(())
}

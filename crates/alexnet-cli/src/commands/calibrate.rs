//! `alexnet calibrate`: temperature scaling of a model's probabilities.

use super::engine_args::EngineArgs;
use super::labels::Labels;
use crate::{data_set, model_file, net_option, numbers, output, progress};
use alexnet::data::{self, loader};
use alexnet::eval::{self, temperature};
use alexnet::formats;
use alexnet::image::crop::Crops;
use alexnet::train::config::Config;
use anyhow::{Context, bail};
use std::path::{Path, PathBuf};

/// Options of `alexnet calibrate`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Model file, such as RUN/best.safetensors, or one of PyTorch, ONNX, Caffe or Paddle; or published weights, such as torchvision
    #[arg(long, value_name = "FILE")]
    model: PathBuf,
    /// Network in the model file, if the file does not specify it
    #[arg(long, value_name = "NAME", value_parser = net_option::names(), hide_possible_values = true)]
    net: Option<String>,
    /// Validation images with labels, which the model was not trained on [default: the built-in set's]
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,
    #[command(flatten)]
    lists: data_set::ListArgs,
    #[command(flatten)]
    split: data_set::SplitArg,
    #[command(flatten)]
    labels: Labels,
    /// Output file [default: FILE with the extension .calibrated.safetensors]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Batch size
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = numbers::batch)]
    batch: usize,
    #[command(flatten)]
    machine: EngineArgs,
    /// Print a JSON object instead of text
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args, quiet: bool) -> anyhow::Result<()> {
    let path = model_file::locate(&args.model, quiet)?;
    let mut model = model_file::open(&path, args.net.as_deref())?;
    let out = args.out.clone().unwrap_or_else(|| args.model.with_extension("calibrated.safetensors"));
    if out == path {
        bail!("--out {}: same file as the model; choose another name", out.display());
    }
    let order = args.labels.apply(&mut model)?;
    let source = match &args.data {
        Some(images) => {
            let opened = args.split.open(&args.lists.source(images), quiet)?;
            warn_of_training_images(&path, &opened);
            opened.source
        }
        None => data::synthetic(data::Split::Validation, 0),
    };
    let source = eval::for_model(source, &model.classes, order).with_context(|| path.display().to_string())?;
    model.classes = source.classes().to_vec();
    let options = loader::Options {
        batch: args.batch.min(source.len()).max(1),
        threads: args.machine.threads,
        // Each image is read once, so caching is useless.
        memory: Some(0),
        ..Default::default()
    };
    // The engine takes the parameters out of its own copy, which shares them; those of a mapped file take no memory.
    let mut engine = args.machine.engine_of(&mut model.clone(), options.batch)?;
    let loader = loader::Loader::sequential(source.clone(), model.preprocess.clone(), Crops::Centre, options)?;
    let bar = progress::images(source.len(), quiet)?;
    let classes = model.classes.len();
    let logits = temperature::collect_logits(&mut *engine, &loader, classes, &mut |done| bar.set_position(done as u64))?;
    bar.finish_and_clear();
    for (i, why) in &logits.broken {
        output::note(&format!("left out: {}: {why}", source.name(*i as usize)));
    }
    let fitted = temperature::Temperature::fit(&logits, classes)?;
    if fitted.at_limit {
        let why = if fitted.temperature > 1.0 { "the model is no better than chance" } else { "every prediction is right" };
        bail!("no temperature fits {} images: {why}; calibrate on more images", fitted.images);
    }
    temperature::divide_by(&mut model, fitted.temperature)?;
    formats::write(&out, &model)?;
    if args.json {
        let mut json = serde_json::to_value(fitted)?;
        if let Some(object) = json.as_object_mut() {
            object.remove("at_limit");
            object.insert("out".into(), out.to_string_lossy().into());
            object.insert("broken".into(), logits.broken.len().into());
        }
        return output::print_json(&json);
    }
    let temperature::Temperature { temperature, images, top1, before, after, .. } = fitted;
    output::say(&format!(
        "{images} images: temperature {temperature:.4}\n\
         expected calibration error {:.2} % before, {:.2} % after\n\
         negative log-likelihood {:.4} before, {:.4} after\n\
         top-1 {:.2} %, unchanged\n\
         {}",
        before.ece * 100.0,
        after.ece * 100.0,
        before.nll,
        after.nll,
        top1 * 100.0,
        output::path(&out)
    ));
    Ok(())
}

/// Warns if the settings of the run beside a model name these images as its training images.
fn warn_of_training_images(model: &Path, opened: &data::Opened) {
    let Ok(config) = Config::read(&model.with_file_name("config.toml")) else { return };
    let Some(trained_on) = &config.data else { return };
    let real = |path: &Path| path.canonicalize().ok();
    let (Some(at), Some(root)) = (real(&opened.at), real(trained_on)) else { return };
    // The training set is opened only if these images are among the files that it may use.
    let is_within = at.starts_with(root);
    let training = is_within.then(|| config.source(trained_on).open(data::Split::Train, data::Demand::WithImages));
    if let Some(Ok(training)) = training
        && (real(&training.at), &training.taken) == (Some(at), &opened.taken)
    {
        output::note(&format!(
            "warning: {}: the model was trained on these images and is more confident on them than on others; calibrate on \
             validation images",
            opened.at.display()
        ));
    }
}

//! `alexnet quantize`: calibration of a model for int8 and int4.

use crate::{data_set, model_file, numbers, output};

use alexnet::data::{self, loader};
use alexnet::engine::cpu::Cpu;
use alexnet::engine::{Inference, Precision};
use alexnet::{formats, quantize};
use anyhow::bail;
use std::path::PathBuf;

/// Options of `alexnet quantize`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Model file, such as RUN/best.safetensors, or published weights, such as torchvision
    #[arg(long, value_name = "FILE")]
    model: PathBuf,
    /// Calibration images similar to those that the model will see; labels need not be correct [default: the built-in set's]
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,
    /// Calibration images to use, spread over the whole set
    #[arg(long, alias = "pictures", value_name = "N", default_value_t = 256, value_parser = numbers::count)]
    images: usize,
    /// Output file [default: FILE with the extension .int8.safetensors]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Number of threads; does not affect results [default: one per core]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true, value_parser = numbers::threads)]
    threads: usize,
    /// Print a JSON object instead of text
    #[arg(long)]
    json: bool,
}

/// Precisions available once the ranges are known.
const KINDS: [Precision; 2] = [Precision::Int8, Precision::Int4];
/// Batch size.
const BATCH: usize = 32;

pub(crate) fn run(args: &Args, quiet: bool) -> anyhow::Result<()> {
    let path = model_file::locate(&args.model, quiet)?;
    let mut model = model_file::open(&path, None)?;
    let out = args.out.clone().unwrap_or_else(|| args.model.with_extension("int8.safetensors"));
    if out == path {
        bail!("--out {}: same file as the model; choose another name", out.display());
    }
    let source = match &args.data {
        Some(path) => data_set::open(&data::Source::new(path), data::Split::Train, data::Demand::WithImages, quiet)?.source,
        None => data::synthetic(data::Split::Train, 0),
    };
    // Draw evenly from all classes, whatever their order.
    let share = args.images as f64 / source.len().max(1) as f64;
    let some = data::hold_out(source.clone(), share.min(1.0)).1;
    let source = if share >= 1.0 || some.is_empty() { source } else { some };
    let options =
        loader::Options { batch: BATCH.min(source.len()).max(1), threads: args.threads, memory: Some(0), ..Default::default() };
    let batch = options.batch;
    let loader = loader::Loader::sequential(source, model.preprocess.clone(), alexnet::image::crop::Crops::Centre, options)?;
    let mut engine = Cpu::new(&model.net, batch, args.threads)?;
    alexnet::engine::load_model(&model, &mut engine)?;
    model.ranges = quantize::calibrate(&mut engine, &loader, args.images)?;
    formats::write(&out, &model)?;

    // Count how often the quantised and the f32 predictions agree.
    let (mut seen, mut same) = (0, [0; KINDS.len()]);
    let (mut floats, mut fewer) = (Vec::new(), Vec::new());
    let quantised = |precision: Precision| -> alexnet::Result<Cpu> {
        let mut engine = Cpu::new(&model.net, batch, args.threads)?.with_precision(precision)?;
        alexnet::engine::load_model(&model, &mut engine)?;
        Ok(engine)
    };
    let mut quantised = KINDS.into_iter().map(quantised).collect::<Result<Vec<_>, _>>()?;
    // The engines hold copies: 240 MB need not be held again.
    model.tensors.clear();
    let classes = model.classes.len();
    let best = |logits: &[f32]| logits.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map(|(i, _)| i);
    for batch in loader.epoch(0, 0).filter(|batch| !batch.labels.is_empty()) {
        engine.infer(&batch.images, &mut floats)?;
        seen += batch.labels.len();
        for (engine, same) in quantised.iter_mut().zip(&mut same) {
            engine.infer(&batch.images, &mut fewer)?;
            let both = floats.chunks_exact(classes).zip(fewer.chunks_exact(classes));
            *same += both.filter(|(a, b)| best(a) == best(b)).count();
        }
    }
    let share = same.map(|same| same as f64 / seen.max(1) as f64);
    if args.json {
        let share: serde_json::Map<_, _> =
            KINDS.iter().zip(share).map(|(kind, share)| (kind.to_string(), share.into())).collect();
        return output::print_json(&serde_json::json!({ "out": out, "pictures": seen, "same_answer": share }));
    }
    let [int8, int4] = share.map(|share| format!("{:.1} %", 100.0 * share));
    output::say(&format!("{}: same prediction as f32 on {int8} of {seen} images in int8, on {int4} in int4", out.display()));
    Ok(())
}

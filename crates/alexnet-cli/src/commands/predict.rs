//! `alexnet predict`: classification of images.

use super::engine_args::{self, EngineArgs};
use crate::{image_files, model_file, net_option, numbers, output};
use alexnet::image::crop::Crops;
use alexnet::image::{Image, decode};
use alexnet::net::imagenet::with_word;
use alexnet::{Classifier, Prediction};
use anyhow::{Context, bail};
use std::path::{Path, PathBuf};

/// Options of `alexnet predict`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Model file, such as RUN/best.safetensors, or one of PyTorch, ONNX, Caffe or Paddle; or published weights, such as torchvision
    #[arg(long, value_name = "FILE")]
    model: PathBuf,
    /// Network in the model file, if the file does not specify it
    #[arg(long, value_name = "NAME", value_parser = net_option::names(), hide_possible_values = true)]
    net: Option<String>,
    /// Images, or folders of images (searched recursively)
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<PathBuf>,
    /// Crops of each image: 1 (centre) or 10 (as in the paper, with averaged softmax)
    #[arg(long, value_name = "1|10", default_value = "1", value_parser = engine_args::crops)]
    crops: Crops,
    /// Predictions per image, the most probable first
    #[arg(long, value_name = "K", default_value_t = 5, value_parser = numbers::count)]
    top: usize,
    #[command(flatten)]
    machine: EngineArgs,
    /// Print one JSON array instead of text
    #[arg(long)]
    json: bool,
}

/// Images decoded and classified per batch.
const TOGETHER: usize = 16;

pub(crate) fn run(args: &Args, quiet: bool) -> anyhow::Result<()> {
    let files = image_files::expand(&args.images)?;
    let path = model_file::locate(&args.model, quiet)?;
    let mut model = model_file::open(&path, args.net.as_deref())?;
    // An image gets bit-identical probabilities alone, in a batch, and from `alexnet serve`. The price is to transform the
    // convolution weights for Winograd even for one image: 15 ms.
    let batch = files.len().min(TOGETHER) * args.crops.count();
    let engine = args.machine.steady_engine_of(&mut model, batch)?;
    let mut classifier = Classifier::with_engine(model, engine).with_crops(args.crops, TOGETHER);
    let (mut results, mut failed) = (Vec::new(), 0);
    for paths in files.chunks(TOGETHER) {
        let (mut read, mut images) = (Vec::new(), Vec::new());
        for (path, image) in paths.iter().zip(decode_all(paths)) {
            match image {
                Ok(image) => {
                    read.push(path);
                    images.push(image);
                }
                Err(why) => {
                    failed += 1;
                    output::note(&format!("error: {why}"));
                }
            }
        }
        let answers = classifier.predict_batch(&images).with_context(|| path.display().to_string())?;
        for (path, answer) in read.into_iter().zip(answers) {
            let top = answer.top(args.top);
            if args.json {
                results.push(json(path, args.crops.count(), &top));
            } else {
                let word = |p: &Prediction| format!("{} {:.1} %", output::name(&with_word(&p.label)), p.probability * 100.0);
                let labels: Vec<_> = top.iter().map(word).collect();
                output::print(&format!("{}: {}\n", output::path(path), labels.join(", ")))?;
            }
        }
    }
    if args.json {
        output::print_json(&results)?;
    }
    if failed > 0 {
        bail!("{failed} of {} images could not be read", files.len());
    }
    Ok(())
}

/// Decodes images in parallel.
fn decode_all(paths: &[PathBuf]) -> Vec<alexnet::Result<Image>> {
    let one = |path: &Path| decode::open(path);
    std::thread::scope(|scope| {
        // If the system refuses another thread, the image is decoded on this one.
        let start = |path| std::thread::Builder::new().spawn_scoped(scope, move || one(path)).map_err(|_| one(path));
        let threads: Vec<_> = paths.iter().map(|path| start(path)).collect();
        let panicked = |path: &Path| alexnet::Error::file(path, "the decoder panicked; please report this image");
        let decoded = threads.into_iter().zip(paths).map(|(thread, path)| match thread {
            Ok(thread) => thread.join().unwrap_or_else(|_| Err(panicked(path))),
            Err(done) => done,
        });
        decoded.collect()
    })
}

fn json(path: &Path, crops: usize, top: &[Prediction]) -> serde_json::Value {
    let one = |p: &Prediction| serde_json::json!({ "index": p.index, "label": p.label, "probability": p.probability });
    serde_json::json!({
        "path": path.to_string_lossy(),
        "crops": crops,
        "top": top.iter().map(one).collect::<Vec<_>>(),
    })
}

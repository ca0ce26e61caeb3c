//! `alexnet predict`: classification of images.

mod rows;
mod sink;

use super::engine_args::{self, EngineArgs};
use crate::exit_status::SomeFailed;
use crate::image_files::{self, ImageSource, Search};
use crate::{model_file, net_option, numbers, output, progress};
use alexnet::image::crop::Crops;
use alexnet::image::decode;
use alexnet::predict::stream;
use alexnet::{Classifier, Ensemble, Predictions};
use anyhow::{Context, bail};
use rows::Answers;
use sink::{Format, Sink};
use std::path::{Path, PathBuf};

/// Explanation of the inputs, after the options.
pub(crate) const EXAMPLES: &str = "\
Images, one answer each, in this order:
  photo.jpg photos/          files, and folders searched recursively
  'photos/**/*.jpg'          a pattern: *, ?, [...], and ** for any folders
  @list.txt, --list FILE     one path per line, relative to the list's folder
  -                          the same from standard input, relative to the current folder
  set.tar                    an archive, or another data set in a file or folder

Exit status: 0 if all images were read, 3 if some could not be, 1 if none could be or for another failure, 2 for bad usage.";

/// Options of `alexnet predict`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Model file, such as RUN/best.safetensors, or one of PyTorch, ONNX, Caffe or Paddle; or published weights, such as torchvision.
    /// Repeat for an ensemble: the mean of the models' probabilities
    #[arg(long = "model", value_name = "FILE", required = true)]
    models: Vec<PathBuf>,
    /// Network in the model files, if they do not specify it
    #[arg(long, value_name = "NAME", value_parser = net_option::names(), hide_possible_values = true)]
    net: Option<String>,
    /// Class names of a model whose file has none, in output order: imagenet, devkit, or a file with one name per line
    #[arg(long, value_name = "imagenet|devkit|FILE")]
    labels: Option<PathBuf>,
    /// Images: files, folders, patterns, lists, archives, or - for a list on standard input
    #[arg(required_unless_present = "list", value_name = "IMAGE")]
    images: Vec<PathBuf>,
    /// Text file with one path per line, relative to its folder (or --root)
    #[arg(long, value_name = "FILE")]
    list: Vec<PathBuf>,
    /// Folder to which the paths in lists are relative
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Crops of each image: 1 (centre) or 10 (as in the paper, with averaged softmax)
    #[arg(long, value_name = "1|10", default_value = "1", value_parser = engine_args::crops)]
    crops: Crops,
    /// Predictions per image, the most probable first
    #[arg(long, value_name = "K", default_value_t = 5, value_parser = numbers::count)]
    top: usize,
    /// Answer "unknown" if the highest probability is below X
    #[arg(long, value_name = "X", value_parser = numbers::probability)]
    threshold: Option<f64>,
    #[command(flatten)]
    machine: EngineArgs,
    /// Output format: text, csv, jsonl (one JSON object per line), parquet [default: by the extension of --out, else text]
    #[arg(long, value_name = "FORMAT", value_enum, hide_possible_values = true)]
    format: Option<Format>,
    /// Output file, which appears when it is complete [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print one JSON array instead of text
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

/// Images classified per batch.
const TOGETHER: usize = 16;

pub(crate) fn run(args: &Args, quiet: bool) -> anyhow::Result<()> {
    let format = if args.json { Format::Json } else { Format::choose(args.format, args.out.as_deref())? };
    let paths = args.models.iter().map(|model| model_file::locate(model, quiet)).collect::<anyhow::Result<Vec<_>>>()?;
    if let Some(out) = &args.out {
        output::not_over_input("--out", out, args.images.iter().chain(&args.list).chain(&paths))?;
    }
    // An image gets bit-identical probabilities alone, in a batch, and from `alexnet serve`. The price is to transform the
    // convolution weights for Winograd even for one image: 15 ms.
    let batch = most_images(args).unwrap_or(TOGETHER).clamp(1, TOGETHER);
    let mut ensemble = Ensemble::new(paths.iter().map(|path| open(args, path, batch)).collect::<anyhow::Result<_>>()?)?;
    let top = args.top.min(ensemble.classes().len());

    let answers = Answers { crops: args.crops.count(), top, threshold: args.threshold };
    let mut sink = Sink::create(format, args.out.as_deref(), answers)?;
    let bar = progress::counter(quiet || args.out.is_none())?;
    let search = Search { root: args.root.clone(), ..Default::default() };
    let images = image_files::of_arguments(&args.images, &args.list, &search);
    let (mut all, mut failed) = (0, 0);
    let mut unwritten = None;
    let answer = &mut |source: ImageSource, answer: alexnet::Result<Predictions>| {
        all += 1;
        let name = source.name();
        if let Err(why) = &answer {
            failed += 1;
            bar.suspend(|| output::note(&format!("error: {name}: {why}")));
        }
        bar.inc(1);
        sink.push(&name, answer).map_err(|error| {
            unwritten = Some(error);
            alexnet::Error::Invalid("the answers cannot be written".into())
        })
    };
    let done = stream::classify_together(&mut ensemble, images, args.machine.threads, ImageSource::resized, answer);
    bar.finish_and_clear();
    if let Some(error) = unwritten {
        return Err(error);
    }
    done.with_context(|| paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", "))?;
    if let Some(note) = search.skipped.note().filter(|_| !quiet) {
        output::note(&note);
    }
    sink.finish()?;
    match (failed, all) {
        (_, 0) => bail!("the lists name no images"),
        (0, _) => Ok(()),
        (failed, all) if failed == all => bail!("{failed} of {all} images could not be read"),
        (failed, images) => Err(SomeFailed { failed, images }.into()),
    }
}

/// Opens a model with the options of the command.
fn open(args: &Args, path: &Path, batch: usize) -> anyhow::Result<(String, Classifier)> {
    let mut model = model_file::open(path, args.net.as_deref())?;
    alexnet::labels::apply(&mut model, args.labels.as_deref(), None)?;
    let engine = args.machine.steady_engine_of(&mut model, batch * args.crops.count())?;
    Ok((path.display().to_string(), Classifier::with_engine(model, engine).with_crops(args.crops, batch)))
}

/// Maximum number of images, if every argument is a file.
fn most_images(args: &Args) -> Option<usize> {
    let are_files = args.list.is_empty() && args.images.iter().all(|path| decode::is_named_image(path) && path.is_file());
    are_files.then_some(args.images.len())
}

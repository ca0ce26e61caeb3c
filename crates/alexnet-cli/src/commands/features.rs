//! `alexnet features`: a layer's activations as a table, with the feature extractor that `alexnet similar` also uses.

use super::engine_args::EngineArgs;
use crate::{data_set, model_file, net_option, numbers, output, progress};
use alexnet::data::{Dataset, loader};
use alexnet::engine::Inspection;
use alexnet::features::{Pool, Provenance, Taken, Writer, extract};
use alexnet::formats;
use alexnet::image::Preprocess;
use anyhow::bail;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// Help text of `--out`.
const OUT_HELP: &str = if cfg!(feature = "parquet") {
    "Output file: .npy (plus a .json of names and labels), .safetensors or .parquet"
} else {
    "Output file: .npy (plus a .json of names and labels) or .safetensors; .parquet needs a build with --features parquet"
};

/// Options of `alexnet features`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Model file, such as RUN/best.safetensors, or one of PyTorch, ONNX, Caffe or Paddle; or published weights, such as torchvision
    #[arg(long, value_name = "FILE")]
    model: PathBuf,
    /// Network in the model file, if the file does not specify it
    #[arg(long, value_name = "NAME", value_parser = net_option::names(), hide_possible_values = true)]
    net: Option<String>,
    /// Layer, such as conv1 to conv5, fc6 to fc8, a norm or a pool, including the ReLU that follows it
    #[arg(long, value_name = "LAYER", default_value = "fc7")]
    layer: String,
    /// Take the layer's values before the ReLU that follows it
    #[arg(long)]
    before_relu: bool,
    /// Pooling of each feature map: all values, the mean or the maximum
    #[arg(long, value_name = "none|average|max", default_value = "none", value_parser = pool)]
    pool: Pool,
    /// Images, with or without classes: a folder, an archive, a list, one image, or another layout that `docs/guide/data.md` names
    #[arg(long, value_name = "PATH")]
    data: PathBuf,
    #[command(flatten)]
    lists: data_set::ListArgs,
    #[arg(long, value_name = "FILE", help = OUT_HELP)]
    out: PathBuf,
    /// Batch size
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = numbers::batch)]
    batch: usize,
    #[command(flatten)]
    machine: EngineArgs,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

fn pool(text: &str) -> Result<Pool, String> {
    [Pool::None, Pool::Average, Pool::Max]
        .into_iter()
        .find(|p| p.name() == text)
        .ok_or_else(|| "expected none, average or max".into())
}

pub(crate) fn run(args: &Args, quiet: bool) -> anyhow::Result<()> {
    let start = Instant::now();
    let source = data_set::open_any(&args.lists.source(&args.data), quiet)?.source;
    output::not_over_input("--out", &args.out, [&args.data, &args.model])?;
    let asked = Asked { layer: &args.layer, before_relu: args.before_relu, pool: args.pool };
    let model = model_file::locate(&args.model, quiet)?;
    let mut looker = Looker::new(&model, args.net.as_deref(), asked, &args.machine, args.batch.min(source.len()))?;
    let mut writer = Writer::create(&args.out, looker.about.clone())?;

    let bar = progress::images(source.len(), quiet)?;
    let broken = looker.look(&source, args.batch, args.machine.threads, &mut |i, features| {
        bar.inc(1);
        let class = source.classes().get(source.label(i) as usize);
        writer.push(source.name(i), class.map(String::as_str), features)
    })?;
    bar.finish_and_clear();
    for (i, why) in &broken {
        output::note(&format!("left out: {}: {why}", source.name(*i as usize)));
    }
    let images = writer.finish()?;
    let seconds = start.elapsed().as_secs_f64();
    let Provenance { layer, shape, .. } = &looker.about;
    if args.json {
        return output::print_json(&serde_json::json!({
            "out": args.out.to_string_lossy(), "pictures": images, "broken": broken.len(), "about": looker.about, "seconds": seconds,
        }));
    }
    if quiet {
        return Ok(());
    }
    let shape: Vec<_> = shape.iter().map(usize::to_string).collect();
    let relu = match (args.before_relu, looker.taken.layer() == layer) {
        (true, _) => " before its activation".into(),
        (false, true) => String::new(),
        (false, false) => format!(" after {}", looker.taken.layer()),
    };
    let (out, rate) = (output::path(&args.out), images as f64 / seconds);
    output::print(&format!(
        "{out}: {layer}{relu}, {} of each of {images} images; {seconds:.1} s, {rate:.0} images/s\n",
        shape.join(" x ")
    ))
}

/// Selection of features.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) layer: &'a str,
    pub(super) before_relu: bool,
    pub(super) pool: Pool,
}

/// A model with its feature extractor.
pub(super) struct Looker {
    pub(super) about: Provenance,
    taken: Taken,
    engine: Box<dyn Inspection>,
    preprocess: Preprocess,
}

impl Looker {
    /// Opens a model.
    pub(super) fn new(
        path: &Path,
        net: Option<&str>,
        asked: Asked<'_>,
        machine: &EngineArgs,
        batch: usize,
    ) -> anyhow::Result<Looker> {
        let precision = machine.precision();
        if precision.is_of_bytes() {
            bail!("{precision} does not expose layers; use f32 or bf16");
        }
        let mut model = model_file::open(path, net)?;
        let taken = Taken::new(&model.net, asked.layer, asked.before_relu, asked.pool)?;
        let about = Provenance {
            model: formats::sha256(path)?,
            net: model.net.name.clone(),
            layer: asked.layer.into(),
            before_relu: asked.before_relu,
            pool: asked.pool,
            shape: taken.shape().to_vec(),
            precision: precision.to_string(),
            preprocess: model.preprocess.clone(),
        };
        let engine = machine.engine_of(&mut model, batch)?;
        Ok(Looker { about, taken, engine, preprocess: model.preprocess })
    }

    /// Passes each image's index and features to `row`; returns the images that cannot be read.
    pub(super) fn look(
        &mut self,
        source: &Arc<dyn Dataset>,
        batch: usize,
        threads: usize,
        row: &mut dyn FnMut(usize, &[f32]) -> alexnet::Result<()>,
    ) -> anyhow::Result<Vec<(u32, String)>> {
        // Each image is read once, so caching is useless.
        let options = loader::Options { batch: batch.min(source.len()), threads, memory: Some(0), ..Default::default() };
        let loader =
            loader::Loader::sequential(source.clone(), self.preprocess.clone(), alexnet::image::crop::Crops::Centre, options)?;
        Ok(extract(&mut *self.engine, &loader, &self.taken, row)?)
    }
}

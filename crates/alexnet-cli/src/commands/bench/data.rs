//! `alexnet bench data`: speed of image loading, compared with training.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use alexnet::data::loader::{Augment, Loader, Options};
use alexnet::data::{self, Dataset, Split};
use alexnet::engine::ParameterStore;
use alexnet::image::crop::centre;
use alexnet::image::decode::{self, DecodeLimits, Scale, scale_before};
use alexnet::image::{Draft, Image, JpegDecoding, Preprocess};
use alexnet::train::recipe::Recipe;
use anyhow::{Context, bail};
use clap::builder::PossibleValuesParser;
use rayon::prelude::*;
use serde::Serialize;

use super::{Load, Mode, augmentation, memory};
use crate::data_set;
use crate::output::{self, Align};

/// Options of `alexnet bench data`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Images: a folder of class folders, a pack, or another layout that `docs/guide/data.md` names [default: the built-in set]
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,
    #[command(flatten)]
    lists: data_set::ListArgs,
    /// Decoding of JPEGs, as for `train`
    #[arg(long, value_name = "exact|scaled", default_value = "exact", value_parser = PossibleValuesParser::new(JpegDecoding::NAMES), hide_possible_values = true)]
    jpeg: String,
    /// Recipe, whose augmentation is timed too: a name that `alexnet recipes` lists, a file, or the folder of a run
    #[arg(long, value_name = "NAME|FILE", default_value = "quick")]
    recipe: String,
    /// Change a key of the recipe, such as augment.auto=trivial. May be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    #[command(flatten)]
    load: Load,
}

/// The sample is spread evenly over the set, limited to this many images and this many decoded bytes: enough for a fair mean,
/// small enough to fit in memory.
const SAMPLE: usize = 256;
const ROOM: usize = 256 << 20;

/// A row of the table.
#[derive(Serialize)]
struct Row {
    step: &'static str,
    pictures_per_second: f64,
    /// Encoded bytes read.
    mb_per_second: Option<f64>,
}

/// Sample images in every stage of processing.
struct Sample {
    numbers: Vec<usize>,
    files: Vec<Vec<u8>>,
    originals: Vec<Draft>,
    resized: Vec<Image>,
}

pub(super) fn run(args: &Args, quiet: bool) -> anyhow::Result<()> {
    let load = &args.load;
    let recipe = Recipe::open_with(&args.recipe, &args.set)?;
    // Validate the options before the work.
    let (mut engine, mut work) = load.cpu(Mode::Train)?;
    let source = match &args.data {
        Some(path) => data_set::open(&args.lists.source(path), Split::Train, data::Demand::WithImages, quiet)?.source,
        None => data::synthetic(Split::Train, 0),
    };
    let jpeg = JpegDecoding::of_name(&args.jpeg).unwrap_or_default();
    let preprocess = Preprocess { jpeg, ..Preprocess::for_net(engine.net()) };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(load.machine.threads).build().context("cannot start threads")?;
    let sample = pool.install(|| Sample::take(&*source, &preprocess))?;
    let rows = rows(&source, &preprocess, &sample, load, &pool)?;
    let augmenting = augmentation::rate(&sample.originals, &recipe, engine.net(), load)?;
    let mean = |sum: usize| sum as f64 / sample.numbers.len() as f64;
    let file = (!sample.files.is_empty()).then(|| mean(sample.files.iter().map(Vec::len).sum()));
    let pixels = mean(sample.originals.iter().map(|draft| draft.width * draft.height).sum());
    work.warm_up(&mut engine)?;
    let times = work.times(&mut engine, load.seconds)?;
    let training = work.rate(times[times.len() / 2]);
    let together = rows[rows.len() - 1].pictures_per_second;
    let net = engine.net();
    if load.json {
        return output::print_json(&serde_json::json!({
            "mode": "data", "net": net.name, "image_size": net.image_size, "threads": pool.current_num_threads(),
            "pictures": source.len(), "sample": sample.numbers.len(), "mean_file_bytes": file, "mean_pixels": pixels,
            "steps": rows, "images_per_second": together, "training_images_per_second": training,
            "recipe": recipe.name, "augmented_images_per_second": augmenting,
            "peak_memory_bytes": memory::peak(),
        }));
    }
    let kilobytes = file.map_or_else(String::new, |bytes| format!(", {:.0} kB", bytes / 1e3));
    output::say(&format!(
        "{} of {} images, {:.0} thousand pixels on average{kilobytes}; {} threads",
        sample.numbers.len(),
        source.len(),
        pixels / 1e3,
        pool.current_num_threads()
    ));
    let head = ["step", "images/s", "MB/s"].map(String::from);
    let cells = |row: &Row| {
        let rate = row.mb_per_second.map_or_else(String::new, |rate| format!("{rate:.1}"));
        [row.step.into(), format!("{:.0}", row.pictures_per_second), rate]
    };
    let lines: Vec<_> = [head].into_iter().chain(rows.iter().map(cells)).collect();
    output::print(&output::table([Align::Left, Align::Right, Align::Right], &lines))?;
    output::say(&format!(
        "training {} processes {training:.0} images/s with as many threads, so loading adds {:.0} % to its time\n\
         while every image has to be decoded; a run caches decoded images as long as memory allows\n\
         recipe {} turns cached images into batches at {augmenting:.0} images/s, which adds {:.1} % to the time of training",
        net.name,
        100.0 * training / together,
        recipe.name,
        100.0 * training / augmenting
    ));
    Ok(())
}

impl Sample {
    fn take(source: &dyn Dataset, preprocess: &Preprocess) -> anyhow::Result<Sample> {
        let count = source.len().min(SAMPLE);
        let mut sample = Sample { numbers: vec![], files: vec![], originals: vec![], resized: vec![] };
        let mut room = ROOM;
        for i in (0..count).map(|i| i * source.len() / count) {
            // Training reports broken images.
            let file = source.file(i).map_err(anyhow::Error::msg)?;
            let decoded = match &file {
                Some(bytes) => drafted(bytes, preprocess),
                None => source.image(i).map(Draft::full),
            };
            let Ok(draft) = decoded else { continue };
            let Some(left) = room.checked_sub(draft.image.rgb.len()) else { break };
            room = left;
            sample.files.extend(file);
            sample.resized.push(draft.resized_as(preprocess.resize));
            sample.originals.push(draft);
            sample.numbers.push(i);
        }
        if sample.numbers.is_empty() {
            bail!("none of {count} images could be decoded");
        }
        Ok(sample)
    }
}

/// Decodes a file for the preprocessing.
fn drafted(bytes: &[u8], preprocess: &Preprocess) -> alexnet::Result<Draft> {
    let scale = |height, width| match preprocess.jpeg {
        JpegDecoding::Exact => Scale::Full,
        JpegDecoding::Scaled => scale_before(preprocess.resize, height, width),
    };
    decode::draft(bytes, &DecodeLimits::default(), &scale)
}

/// Times each step separately, then all together as in training.
fn rows(
    source: &Arc<dyn Dataset>,
    preprocess: &Preprocess,
    sample: &Sample,
    load: &Load,
    pool: &rayon::ThreadPool,
) -> anyhow::Result<Vec<Row>> {
    let Sample { numbers, files, originals, resized } = sample;
    let (count, crop) = (numbers.len(), preprocess.crop);
    let bytes: usize = files.iter().map(Vec::len).sum();
    let row = |step, pictures_per_second: f64| {
        let mb_per_second = (bytes > 0).then(|| 1e-6 * pictures_per_second * bytes as f64 / count as f64);
        Row { step, pictures_per_second, mb_per_second }
    };
    let time = |step, work: &(dyn Fn(usize) + Sync)| {
        let start = Instant::now();
        let mut done = 0;
        while done == 0 || start.elapsed().as_secs_f64() < load.seconds / 4.0 {
            pool.install(|| (0..count).into_par_iter().with_max_len(1).for_each(work));
            done += count;
        }
        row(step, done as f64 / start.elapsed().as_secs_f64())
    };
    let paper = Augment::crop_mirror();
    let torchvision = Augment::random_resized_crop();
    // Any key will do: it only selects crop positions.
    let key = |i: usize| alexnet_kernels::random::Key(i as u64);
    let tensor = |write: &(dyn Fn(&mut [f32]) + Sync)| {
        let mut out = vec![0.0; 3 * crop * crop];
        write(&mut out);
        std::hint::black_box(&out);
    };
    let mut rows = Vec::new();
    if files.is_empty() {
        let step = if source.file_size(0).is_some() { "read pixels (from the page cache)" } else { "draw" };
        rows.push(time(step, &|i| drop(std::hint::black_box(source.image(numbers[i])))));
    } else {
        rows.push(time("read (from the page cache)", &|i| drop(std::hint::black_box(source.file(numbers[i])))));
        rows.push(time("decode", &|i| drop(std::hint::black_box(drafted(&files[i], preprocess)))));
    }
    rows.push(time("resize", &|i| drop(std::hint::black_box(originals[i].resized_as(preprocess.resize)))));
    rows.push(time("centre crop to tensor", &|i| {
        let image = &resized[i];
        tensor(&|out| image.tensor(preprocess, centre(image.height, image.width, crop), None, out));
    }));
    rows.push(time("random crop and mirror to tensor", &|i| {
        tensor(&|out| paper.write(preprocess, &resized[i], key(i), out));
    }));
    // Of drafts, each area has its own scale.
    if preprocess.jpeg.is_exact() {
        rows.push(time("random resized crop to tensor", &|i| {
            tensor(&|out| torchvision.write(preprocess, &originals[i].image, key(i), out));
        }));
    }
    rows.extend([row("all, random crop and mirror", together(source, preprocess, paper, load)?)]);
    Ok(rows)
}

/// Images per second through the loader, decoding each image every time.
fn together(source: &Arc<dyn Dataset>, preprocess: &Preprocess, augment: Augment, load: &Load) -> anyhow::Result<f64> {
    let options = Options { batch: load.batch, threads: load.machine.threads, memory: Some(0), ..Options::default() };
    let loader = Loader::new(source.clone(), preprocess.clone(), augment, options)?;
    let (start, mut done) = (Instant::now(), 0);
    for epoch in 0.. {
        for batch in loader.epoch(epoch, 0) {
            done += batch.indices.len();
            if start.elapsed().as_secs_f64() >= load.seconds / 2.0 && done > 0 {
                return Ok(done as f64 / start.elapsed().as_secs_f64());
            }
        }
        if done == 0 {
            bail!("no image could be decoded in a whole epoch");
        }
    }
    unreachable!("epochs do not end")
}

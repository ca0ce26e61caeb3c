//! `alexnet data preview`: contact sheet of augmented images.

use crate::net_option::NetOption;
use crate::{data_set, numbers, output};
use alexnet::data;
use alexnet::draw::contact_sheet::{Cell, ContactSheet};
use alexnet::draw::{Format, GREY, INK};
use alexnet::engine::MixedLabel;
use alexnet::train::loaders;
use alexnet::train::recipe::Recipe;
use anyhow::bail;
use serde_json::json;
use std::path::PathBuf;

#[derive(clap::Args)]
pub(super) struct Args {
    /// Images: a folder of class folders, an archive, a list, or another layout that `docs/guide/data.md` names [default: the built-in set]
    data: Option<PathBuf>,
    #[command(flatten)]
    lists: data_set::ListArgs,
    #[command(flatten)]
    net: NetOption,
    /// Recipe, which defines the augmentation: a name that `alexnet recipes` lists, a file, or the folder of a run
    #[arg(long, value_name = "NAME|FILE", default_value = "quick")]
    recipe: String,
    /// Change a key of the recipe, such as augment.hue=0.1. May be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Number of images, taken in training order
    #[arg(long, value_name = "N", default_value_t = 24, value_parser = clap::value_parser!(u64).range(1..=2000))]
    count: u64,
    /// Epoch, from 0; each has its own order and augmentation
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = numbers::seed)]
    epoch: u64,
    /// Seed of the run
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = numbers::seed)]
    seed: u64,
    /// Show the original next to each image
    #[arg(long)]
    originals: bool,
    /// Output file, .png or .svg
    #[arg(long, value_name = "FILE", default_value = "preview.png")]
    out: PathBuf,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, quiet: bool) -> anyhow::Result<()> {
    Format::of(&args.out)?;
    let source = match &args.data {
        Some(path) => data_set::open(&args.lists.source(path), data::Split::Train, data::Demand::Trainable, quiet)?.source,
        None => data::synthetic(data::Split::Train, 0),
    };
    let recipe = Recipe::open_with(&args.recipe, &args.set)?;
    let net = args.net.net(Some(source.classes().len()))?;
    let nothing = data::hold_out(source.clone(), 0.0).1;
    let loaders = loaders::loaders(&recipe, &net, None, &source, &nothing, args.seed, 0)?;
    let (mut cells, mut shown, mut broken) = (Vec::new(), Vec::new(), 0);
    let count = args.count as usize;
    for batch in loaders.train.epoch(args.epoch, 0) {
        broken += batch.broken.len();
        let size = 3 * net.image_size * net.image_size;
        let images = batch.images.chunks_exact(size).zip(&batch.indices).enumerate();
        for (position, (tensor, &i)) in images.take(count - shown.len()) {
            let (i, name) = (i as usize, source.name(i as usize));
            let lines = label(&source.classes()[source.label(i) as usize], batch.mixed.get(position), source.classes());
            let file = name.rsplit('/').next().unwrap_or(name);
            if args.originals
                && let Ok(image) = source.image(i)
            {
                cells.push(Cell::photograph(image).line("original", GREY).line(file, GREY));
            }
            let cell = Cell::photograph(alexnet::image::Image::from_tensor(&loaders.preprocess, tensor));
            cells.push(lines.into_iter().fold(cell, |cell, line| cell.line(line, INK)).line(file, GREY));
            shown.push(name.to_string());
        }
        if shown.len() == count {
            break;
        }
    }
    if shown.is_empty() {
        bail!("none of the {} images could be read", source.len());
    }
    let title = format!("The first {} images of epoch {}", shown.len(), args.epoch);
    let note = format!("recipe {}, seed {}, {size} x {size} pixels", args.recipe, args.seed, size = net.image_size);
    let columns = if args.originals { 6 } else { 8 };
    let sheet = ContactSheet { note, ..ContactSheet::of(title, columns, 128, cells) };
    sheet.scene().write(&args.out)?;
    if args.json {
        return output::print_json(&json!({ "out": args.out, "pictures": shown, "broken": broken }));
    }
    if quiet { Ok(()) } else { output::print(&format!("{}: {} images\n", output::path(&args.out), shown.len())) }
}

/// Lines for an image's class, with the second one of a mixed image: `coat 70 %` and `+ hat 30 %`.
fn label(class: &str, mixed: Option<&MixedLabel>, classes: &[String]) -> Vec<String> {
    match mixed.filter(|second| second.share > 0.0) {
        Some(second) => {
            let percent = (100.0 * second.share).round();
            vec![format!("{class} {} %", 100.0 - percent), format!("+ {} {percent} %", classes[second.label as usize])]
        }
        None => vec![class.to_string()],
    }
}

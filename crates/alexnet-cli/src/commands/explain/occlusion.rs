//! `alexnet explain occlusion`

use super::opened::{Common, Seen, class_json, count};
use alexnet::draw::contact_sheet::{Cell, ContactSheet, Legend};
use alexnet::draw::{GREY, INK, colormap};
use alexnet::explain::occlusion::{Options, occlusion};
use serde_json::json;
use std::path::PathBuf;

#[derive(clap::Args)]
pub(super) struct Args {
    /// Image: JPEG, PNG, WebP, BMP or GIF
    picture: PathBuf,
    /// Class, by name or number; may be given several times [default: the most probable]
    #[arg(long, value_name = "CLASS")]
    class: Vec<String>,
    /// Rows and columns of the patch that hides, in pixels of what the network sees [default: a seventh of it]
    #[arg(long, value_name = "N", value_parser = count())]
    patch: Option<usize>,
    /// Pixels from one place of the patch to the next [default: a quarter of the patch]
    #[arg(long, value_name = "N", value_parser = count())]
    stride: Option<usize>,
    #[command(flatten)]
    common: Common,
}

pub(super) fn run(args: &Args, quiet: bool) -> anyhow::Result<()> {
    const BATCH: usize = 16;
    /// How much of the image the hottest place hides.
    const STRENGTH: f32 = 0.8;
    let (model, mut engine) = args.common.open(BATCH)?;
    let patch = args.patch.unwrap_or(Options::for_size(model.net.image_size).patch);
    let options = Options { patch, stride: args.stride.unwrap_or((patch / 4).max(1)), batch: BATCH };
    let seen = Seen::new(&args.picture, &model, &mut *engine)?;
    let (mut cells, mut words, mut maps) = (vec![seen.cell()], Vec::new(), Vec::new());
    for class in seen.classes(&args.class, &model)? {
        let found = occlusion(&mut *engine, &seen.view.tensor, class, &options)?;
        let lowest = found.hidden.iter().copied().fold(f64::INFINITY, f64::min);
        let highest = found.hidden.iter().copied().fold(0.0, f64::max);
        let range = format!("{:.1} to {:.1} % with a part hidden", lowest * 100.0, highest * 100.0);
        words.push(format!("{}, {range}", seen.words(class, &model)));
        let over = Cell::photograph(found.heat.over(&seen.view.picture, STRENGTH));
        cells.push(over.line(seen.words(class, &model), INK).line("over the image", GREY));
        // Red: needed. Blue: in the way.
        let signed = colormap::signed_unit(&found.heat.values);
        let map = colormap::picture(&signed, found.heat.rows, found.heat.columns, colormap::signed_colour);
        cells.push(Cell::photograph(map).line(range, INK).line("both ways", GREY));
        maps.push(json!({ "class": class_json(class, seen.probability(class), &model), "occlusion": found }));
    }
    let title = format!("{}, parts of {patch} x {patch} pixels hidden in turn", seen.file());
    let legends = vec![
        Legend::overlay(STRENGTH, "hiding it changes nothing", "hiding it lowers the probability most"),
        Legend::signed("hiding it raises the probability", "hiding it lowers the probability"),
    ];
    let sheet = ContactSheet { note: seen.guessed(&model), legends, ..ContactSheet::of(title, 3, 288, cells) };
    let mut json = seen.json(&model);
    json.insert("maps".into(), maps.into());
    args.common.finish("occlusion", &sheet, &words.join("; "), json.into(), quiet)
}

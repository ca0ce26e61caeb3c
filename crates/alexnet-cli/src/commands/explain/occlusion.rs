//! `alexnet explain occlusion`

use super::opened::{Common, Seen, class_json, count};
use alexnet::draw::sheet::{Cell, Sheet};
use alexnet::draw::{GREY, INK, heat};
use alexnet::explain::occlusion::{Options, occlusion};
use serde_json::json;
use std::path::PathBuf;

#[derive(clap::Args)]
pub(super) struct Args {
    /// Picture: JPEG, PNG, WebP, BMP or GIF
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
    let (model, mut engine) = args.common.open(BATCH)?;
    let patch = args.patch.unwrap_or(Options::for_size(model.net.image_size).patch);
    let options = Options { patch, stride: args.stride.unwrap_or((patch / 4).max(1)), batch: BATCH };
    let seen = Seen::new(&args.picture, &model, &mut *engine)?;
    let (mut cells, mut words, mut maps) = (vec![seen.cell(&model)], Vec::new(), Vec::new());
    for class in seen.classes(&args.class, &model)? {
        let found = occlusion(&mut *engine, &seen.view.tensor, class, &options)?;
        let lowest = found.hidden.iter().copied().fold(f64::INFINITY, f64::min);
        let highest = found.hidden.iter().copied().fold(0.0, f64::max);
        let range = format!("{:.1} to {:.1} % with a part hidden", lowest * 100.0, highest * 100.0);
        words.push(format!("{}, {range}", seen.words(class, &model)));
        let over = Cell::photograph(found.heat.over(&seen.view.picture, 0.8));
        cells.push(over.line(seen.words(class, &model), INK).line("hot: the answer needs it", GREY));
        // Red: needed. Blue: in the way.
        let signed = heat::signed_unit(&found.heat.values);
        let map = heat::picture(&signed, found.heat.rows, found.heat.columns, heat::signed_colour);
        cells.push(Cell::photograph(map).line(range, INK).line("red: needed, blue: in the way", GREY));
        maps.push(json!({ "class": class_json(class, seen.probability(class), &model), "occlusion": found }));
    }
    let title = format!("{}, parts of {patch} x {patch} pixels hidden in turn", seen.file());
    let sheet = Sheet::of(title, 3, 288, cells);
    let mut json = seen.json(&model);
    json.insert("maps".into(), maps.into());
    args.common.finish("occlusion", &sheet, &words.join("; "), json.into(), quiet)
}

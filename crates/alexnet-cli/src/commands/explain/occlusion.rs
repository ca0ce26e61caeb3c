//! `alexnet explain occlusion`: occlusion sensitivity.

use super::opened::{Common, Seen, class_json, count};
use alexnet::draw::contact_sheet::{Cell, ContactSheet, Legend};
use alexnet::draw::{GREY, INK, colormap};
use alexnet::explain::occlusion::{Options, occlusion};
use serde_json::json;
use std::path::PathBuf;

#[derive(clap::Args)]
pub(super) struct Args {
    /// Image: JPEG, PNG, WebP, BMP or GIF
    image: PathBuf,
    /// Class, by name or number; repeatable [default: the most probable]
    #[arg(long, value_name = "CLASS")]
    class: Vec<String>,
    /// Patch size (rows and columns) in pixels of the network's input [default: a seventh of the input]
    #[arg(long, value_name = "N", value_parser = count())]
    patch: Option<usize>,
    /// Stride of the patch in pixels [default: a quarter of the patch]
    #[arg(long, value_name = "N", value_parser = count())]
    stride: Option<usize>,
    #[command(flatten)]
    common: Common,
}

pub(super) fn run(args: &Args, quiet: bool) -> anyhow::Result<()> {
    const BATCH: usize = 16;
    /// Opacity of the heatmap's maximum over the image.
    const STRENGTH: f32 = 0.8;
    let (model, mut engine) = args.common.open(BATCH, quiet)?;
    let patch = args.patch.unwrap_or(Options::for_size(model.net.image_size).patch);
    let options = Options { patch, stride: args.stride.unwrap_or((patch / 4).max(1)), batch: BATCH };
    let seen = Seen::new(&args.image, &model, &mut *engine)?;
    let (mut cells, mut summaries, mut maps) = (vec![seen.cell()], Vec::new(), Vec::new());
    for class in seen.classes(&args.class, &model)? {
        let found = occlusion(&mut *engine, &seen.view.tensor, class, &options)?;
        let lowest = found.hidden.iter().copied().fold(f64::INFINITY, f64::min);
        let highest = found.hidden.iter().copied().fold(0.0, f64::max);
        let range = format!("{:.1} to {:.1} % with a patch hidden", lowest * 100.0, highest * 100.0);
        summaries.push(format!("{}, {range}", seen.class_text(class, &model)));
        let over = Cell::photograph(found.heat.over(&seen.view.image, STRENGTH));
        cells.push(over.line(seen.class_text(class, &model), INK).line("over the image", GREY));
        // Red: supports the class. Blue: opposes it.
        let signed = colormap::signed_unit(&found.heat.values);
        let map = colormap::image(&signed, found.heat.rows, found.heat.columns, colormap::signed_colour);
        cells.push(Cell::photograph(map).line(range, INK).line("signed", GREY));
        maps.push(json!({ "class": class_json(class, seen.probability(class), &model), "occlusion": found }));
    }
    let title = format!("{}, occluded by a patch of {patch} x {patch} pixels", seen.file());
    let legends = vec![
        Legend::overlay(STRENGTH, "no change when hidden", "largest drop in probability"),
        Legend::signed("probability rises when hidden", "probability drops when hidden"),
    ];
    let sheet = ContactSheet { note: seen.top_predictions(&model), legends, ..ContactSheet::of(title, 3, 288, cells) };
    let mut json = seen.json(&model);
    json.insert("maps".into(), maps.into());
    args.common.finish("occlusion", &sheet, &summaries.join("; "), json.into(), quiet)
}

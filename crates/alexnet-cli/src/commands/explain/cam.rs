//! `alexnet explain cam`

use super::opened::{Common, Seen, class_json};
use alexnet::draw::contact_sheet::{Cell, ContactSheet, Legend};
use alexnet::draw::{GREY, INK};
use alexnet::explain::cam::{Method, cam, default_layer};
use clap::ValueEnum;
use serde_json::json;
use std::path::PathBuf;

#[derive(clap::Args)]
pub(super) struct Args {
    /// Image: JPEG, PNG, WebP, BMP or GIF
    picture: PathBuf,
    /// Class, by name or number; may be given several times [default: the most probable]
    #[arg(long, value_name = "CLASS")]
    class: Vec<String>,
    /// Layer whose maps are weighed; may be given several times [default: the last convolution with its ReLU]
    #[arg(long, value_name = "LAYER")]
    layer: Vec<String>,
    /// How maps are weighed: by the mean of their gradient, or each place by its own (sharper, and good in early layers)
    #[arg(long, value_name = "METHOD", value_enum, default_value = "grad-cam")]
    method: Vec<Weighing>,
    #[command(flatten)]
    common: Common,
}

#[derive(Clone, Copy, ValueEnum)]
enum Weighing {
    GradCam,
    LayerCam,
}

/// How much of the image the hottest place hides.
const STRENGTH: f32 = 0.75;

pub(super) fn run(args: &Args, quiet: bool) -> anyhow::Result<()> {
    let (model, mut engine) = args.common.open(1)?;
    let layers = if args.layer.is_empty() { vec![default_layer(&model.net)?] } else { args.layer.clone() };
    for layer in &layers {
        model.net.layer(layer)?;
    }
    let seen = Seen::new(&args.picture, &model, &mut *engine)?;
    let classes = seen.classes(&args.class, &model)?;
    // All in a row, or a row for each class where there are several maps of each.
    let many = classes.len() > 1 && layers.len() * args.method.len() > 1;
    let (mut cells, mut words, mut maps) = (vec![seen.cell()], Vec::new(), Vec::new());
    for (row, class) in classes.into_iter().enumerate() {
        words.push(seen.words(class, &model));
        if many && row > 0 {
            cells.push(seen.cell());
        }
        for layer in &layers {
            for method in &args.method {
                let method = match method {
                    Weighing::GradCam => Method::GradCam,
                    Weighing::LayerCam => Method::LayerCam,
                };
                let heat = cam(&mut *engine, &seen.view.tensor, class, layer, method)?;
                let cold = heat.values.iter().all(|&v| v == 0.0);
                let how = if cold { "nothing speaks for it".into() } else { format!("{} in {layer}", method.name()) };
                let cell = Cell::photograph(heat.over(&seen.view.picture, STRENGTH));
                cells.push(cell.line(seen.words(class, &model), INK).line(how, GREY));
                maps.push(json!({
                    "class": class_json(class, seen.probability(class), &model),
                    "layer": layer, "method": method, "heat": heat,
                }));
            }
        }
    }
    let columns = if many { 1 + layers.len() * args.method.len() } else { cells.len().min(6) };
    let legends = vec![Legend::overlay(STRENGTH, "does not speak for the class", "speaks most for it, in each map")];
    let sheet = ContactSheet { note: seen.guessed(&model), legends, ..ContactSheet::of(seen.file(), columns, 288, cells) };
    let mut json = seen.json(&model);
    json.insert("maps".into(), maps.into());
    args.common.finish("cam", &sheet, &words.join(", "), json.into(), quiet)
}

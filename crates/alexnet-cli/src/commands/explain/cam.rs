//! `alexnet explain cam`: class activation maps.

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
    image: PathBuf,
    /// Class, by name or number; repeatable [default: the most probable]
    #[arg(long, value_name = "CLASS")]
    class: Vec<String>,
    /// Layer whose activations are weighted; repeatable [default: the last convolution with its ReLU]
    #[arg(long, value_name = "LAYER")]
    layer: Vec<String>,
    /// Weighting of the activations: by their mean gradient, or by the gradient at each position (sharper, also works in early
    /// layers)
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

/// Opacity of the heatmap's maximum over the image.
const STRENGTH: f32 = 0.75;

pub(super) fn run(args: &Args, quiet: bool) -> anyhow::Result<()> {
    let (model, mut engine) = args.common.open(1, quiet)?;
    let layers = if args.layer.is_empty() { vec![default_layer(&model.net)?] } else { args.layer.clone() };
    for layer in &layers {
        model.net.layer(layer)?;
    }
    let seen = Seen::new(&args.image, &model, &mut *engine)?;
    let classes = seen.classes(&args.class, &model)?;
    // One row for all maps, or one per class if each has several.
    let many = classes.len() > 1 && layers.len() * args.method.len() > 1;
    let (mut cells, mut summaries, mut maps) = (vec![seen.cell()], Vec::new(), Vec::new());
    for (row, class) in classes.into_iter().enumerate() {
        summaries.push(seen.class_text(class, &model));
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
                let how = if cold { "no positive evidence".into() } else { format!("{} in {layer}", method.name()) };
                let cell = Cell::photograph(heat.over(&seen.view.image, STRENGTH));
                cells.push(cell.line(seen.class_text(class, &model), INK).line(how, GREY));
                maps.push(json!({
                    "class": class_json(class, seen.probability(class), &model),
                    "layer": layer, "method": method, "heat": heat,
                }));
            }
        }
    }
    let columns = if many { 1 + layers.len() * args.method.len() } else { cells.len().min(6) };
    let legends = vec![Legend::overlay(STRENGTH, "no evidence for the class", "strongest evidence in each map")];
    let sheet =
        ContactSheet { note: seen.top_predictions(&model), legends, ..ContactSheet::of(seen.file(), columns, 288, cells) };
    let mut json = seen.json(&model);
    json.insert("maps".into(), maps.into());
    args.common.finish("cam", &sheet, &summaries.join(", "), json.into(), quiet)
}

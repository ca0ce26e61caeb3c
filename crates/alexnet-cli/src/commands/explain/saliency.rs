//! `alexnet explain saliency`: input gradients.

use super::opened::{Common, Seen, class_json};
use crate::numbers;
use alexnet::draw::contact_sheet::{ContactSheet, Group, Legend};
use alexnet::engine::ReluGradient;
use alexnet::explain::saliency::{self, Options, Smooth};
use serde_json::json;
use std::path::PathBuf;

#[derive(clap::Args)]
pub(super) struct Args {
    /// Image: JPEG, PNG, WebP, BMP or GIF
    image: PathBuf,
    /// Class, by name or number; repeatable [default: the most probable]
    #[arg(long, value_name = "CLASS")]
    class: Vec<String>,
    /// Let ReLUs pass only positive gradients (guided backpropagation): visually clearer, but not the true derivative
    #[arg(long)]
    guided: bool,
    /// Average over this many noisy copies of the image (SmoothGrad) [default without a number: 25]
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "25", value_parser = numbers::whole(1..=10_000))]
    smooth: Option<usize>,
    /// Standard deviation of the SmoothGrad noise, as a fraction of the image's range
    #[arg(long, value_name = "X", default_value_t = 0.15, requires = "smooth", value_parser = numbers::noise)]
    noise: f32,
    /// Seed of the SmoothGrad noise
    #[arg(long, value_name = "N", default_value_t = 0, requires = "smooth", value_parser = numbers::seed)]
    seed: u64,
    #[command(flatten)]
    common: Common,
}

pub(super) fn run(args: &Args, quiet: bool) -> anyhow::Result<()> {
    let (model, mut engine) = args.common.open(1, quiet)?;
    let seen = Seen::new(&args.image, &model, &mut *engine)?;
    let relu = if args.guided { ReluGradient::Guided } else { ReluGradient::Plain };
    let smooth = args.smooth.map(|samples| Smooth { samples, noise: args.noise, seed: args.seed });
    let size = model.net.image_size;
    let (mut groups, mut summaries, mut classes) = (Vec::new(), Vec::new(), Vec::new());
    for class in seen.classes(&args.class, &model)? {
        let gradient = saliency::gradient(&mut *engine, &seen.view.tensor, class, &Options { relu, smooth })?;
        let cells = saliency::cells(&seen.view.image, &gradient, size, model.preprocess.channels);
        groups.push(Group { heading: seen.class_text(class, &model), cells });
        summaries.push(seen.class_text(class, &model));
        classes.push(json!({
            "class": class_json(class, seen.probability(class), &model),
            "heat": saliency::heat(&gradient, size),
            "gradient": gradient,
        }));
    }
    let how = [(args.guided, "guided"), (args.smooth.is_some(), "smoothed")];
    let how: String = how.iter().filter(|(on, _)| *on).map(|(_, how)| format!(", {how}")).collect();
    let title = format!("Gradient of the class logit{how}: {}", seen.file());
    let legends = vec![Legend::heat("no influence", "most influence on the logit")];
    let sheet =
        ContactSheet { note: seen.top_predictions(&model), legends, groups, ..ContactSheet::of(title, 3, 288, Vec::new()) };
    let mut json = seen.json(&model);
    json.insert("size".into(), size.into());
    json.insert("guided".into(), args.guided.into());
    json.insert("smooth".into(), args.smooth.into());
    json.insert("classes".into(), classes.into());
    args.common.finish("saliency", &sheet, &summaries.join(", "), json.into(), quiet)
}

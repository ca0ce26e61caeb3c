//! `alexnet lr-find`: a learning-rate range test on the user's data, net and recipe.

use super::parallel::AllEngines;
use crate::commands::engine_args::EngineArgs;
use crate::commands::labels::Labels;
use crate::output::{self, Align};
use crate::{model_file, numbers};
use alexnet::class_match::LabelOrder;
use alexnet::distributed::{Communicator, SingleProcess};
use alexnet::files;
use alexnet::train::lr_find::{LrCurve, LrPoint, LrRange};
use alexnet::train::recipe::Optimizer;
use alexnet::train::{Environment, Settings};
use clap::builder::PossibleValuesParser;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Options of `alexnet lr-find`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Training images, as for `train` [default: the built-in set]
    #[arg(long, value_name = "PATH", help_heading = "Data")]
    data: Option<PathBuf>,
    #[command(flatten)]
    lists: crate::data_set::ListArgs,
    /// Network; `alexnet nets` lists them [default: torchvision]
    #[arg(long, value_name = "NAME", value_parser = crate::net_option::names(), hide_possible_values = true, help_heading = "Model")]
    net: Option<String>,
    /// Image size in pixels (rows and columns) [default: the net's or the model's own; 96 for the built-in set]
    #[arg(long, value_name = "N", value_parser = numbers::pixels, help_heading = "Model")]
    image_size: Option<usize>,
    /// Activation function after every hidden layer, as for `train`
    #[arg(long, value_name = "NAME", value_parser = crate::net_option::activations(), help_heading = "Model")]
    activation: Option<alexnet::net::Activation>,
    /// Model to fine-tune, as for `train`
    #[arg(long, value_name = "FILE", help_heading = "Model")]
    from: Option<PathBuf>,
    #[command(flatten, next_help_heading = "Model")]
    labels: Labels,
    /// Layers to freeze, as for `train`
    #[arg(long, value_name = "LAYERS", help_heading = "Model")]
    freeze: Option<String>,
    /// Training recipe: a name, a file or a run, as for `train` [default: quick; finetune with --from]
    #[arg(long, value_name = "NAME|FILE|RUN", help_heading = "Recipe")]
    recipe: Option<String>,
    /// Change a key of the recipe, such as momentum=0.8. May be repeated
    #[arg(long, value_name = "KEY=VALUE", help_heading = "Recipe")]
    set: Vec<String>,
    /// Optimizer [default: the recipe's]
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(Optimizer::NAMES), help_heading = "Recipe")]
    optimizer: Option<String>,
    /// Batch size [default: the recipe's]
    #[arg(long, value_name = "N", value_parser = numbers::batch, help_heading = "Recipe")]
    batch: Option<usize>,
    /// Number of steps, 10 to 10000
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = numbers::whole(10..=10_000), help_heading = "Range")]
    steps: usize,
    /// First learning rate
    #[arg(long, value_name = "X", default_value_t = 1e-7, value_parser = numbers::learning_rate, help_heading = "Range")]
    lowest: f64,
    /// Last learning rate; the test ends earlier if the loss explodes
    #[arg(long, value_name = "X", default_value_t = 10.0, value_parser = numbers::learning_rate, help_heading = "Range")]
    highest: f64,
    /// Random seed [default: 0]
    #[arg(long, value_name = "N", value_parser = numbers::seed, help_heading = "Range")]
    seed: Option<u64>,
    #[command(flatten, next_help_heading = "Devices")]
    machine: EngineArgs,
    /// Draw the curve to this SVG file
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    out: Option<PathBuf>,
    /// Print a JSON object with every step instead of text
    #[arg(long, help_heading = "Output")]
    json: bool,
}

/// Rows of the table.
const ROWS: usize = 16;

impl Args {
    fn settings(&self, quiet: bool) -> anyhow::Result<Settings> {
        Ok(Settings {
            data: self.data.clone(),
            data_root: self.lists.root.clone(),
            data_classes: self.lists.classes.clone(),
            net: self.net.clone(),
            recipe: self.recipe.clone(),
            set: self.set.clone(),
            optimizer: self.optimizer.clone(),
            batch: self.batch,
            image_size: self.image_size,
            activation: self.activation,
            from: self.from.as_ref().map(|from| model_file::locate(from, quiet)).transpose()?,
            labels: self.labels.labels.clone(),
            label_order: self.labels.label_order.map(LabelOrder::from),
            freeze: self.freeze.clone(),
            seed: self.seed,
            precision: self.machine.precision.map(|precision| precision.to_string()),
            device: self.machine.device.clone(),
            threads: self.machine.threads,
            ..Settings::default()
        })
    }
}

pub(crate) fn run(args: &Args, quiet: bool) -> anyhow::Result<()> {
    let range = LrRange { lowest: args.lowest, highest: args.highest, steps: args.steps };
    let ranks: Arc<dyn Communicator> = Arc::new(SingleProcess::default());
    let environment = Environment { ranks: &ranks, engines: &AllEngines(&args.machine), stop: &AtomicBool::new(false) };
    let mut notes = crate::data_set::Notes { quiet: quiet || args.json };
    let curve = args.settings(quiet)?.lr_find(range, &environment, &mut notes)?;
    if let Some(path) = &args.out {
        let svg = curve.svg();
        files::write_atomic(path, |file| file.write_all(svg.as_bytes()))?;
    }
    let (steepest, minimum) = (curve.steepest(), curve.minimum());
    if args.json {
        return output::print_json(&serde_json::json!({
            "steepest": steepest, "minimum": minimum, "minimum_over_10": minimum.map(|lr| lr / 10.0),
            "recipe_lr": curve.recipe_lr, "exploded": curve.exploded, "steps": curve.points, "out": args.out,
        }));
    }
    output::print(&table(&curve))?;
    match (steepest, minimum) {
        (Some(steepest), Some(minimum)) => output::say(&format!(
            "suggested: --lr {steepest:.1e} (steepest fall of the loss) or --lr {:.1e} (a tenth of the rate of the lowest loss); the \
             recipe has {}",
            minimum / 10.0,
            curve.recipe_lr
        )),
        _ => output::say("no suggestion: the loss hardly falls at any of these rates; try more --steps or a larger --highest"),
    }
    if !curve.exploded && !quiet {
        output::note("note: the loss did not explode; a larger --highest shows where it does");
    }
    if let (Some(path), false) = (&args.out, quiet) {
        output::say(&format!("curve: {}", output::path(path)));
    }
    Ok(())
}

fn table(curve: &LrCurve) -> String {
    let mut rows = vec![["learning rate", "loss", "smoothed"].map(String::from)];
    let every = curve.points.len().div_ceil(ROWS).max(1);
    let last = curve.points.len().saturating_sub(1);
    let row = |point: &LrPoint| [format!("{:.2e}", point.lr), format!("{:.4}", point.loss), format!("{:.4}", point.smoothed)];
    rows.extend(curve.points.iter().enumerate().filter(|(i, _)| i % every == 0 || *i == last).map(|(_, point)| row(point)));
    output::table([Align::Right, Align::Right, Align::Right], &rows)
}

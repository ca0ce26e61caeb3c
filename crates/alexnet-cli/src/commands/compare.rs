//! `alexnet compare`: comparison of runs side by side.

use crate::output::{self, Align};
use alexnet::files;
use alexnet::report::{Ended, Run, compare};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Options of `alexnet compare`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run folders, at least two
    #[arg(required = true, num_args = 2.., value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// Write the table and overlaid curves to an HTML file
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print one JSON object with every epoch of every run
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args, quiet: bool) -> anyhow::Result<()> {
    let runs = args.runs.iter().map(|path| Run::read(path)).collect::<Result<Vec<_>, _>>()?;
    if let Some(path) = &args.out {
        let html = compare::page(&runs);
        files::write_atomic(path, |file| file.write_all(html.as_bytes()))?;
    }
    if args.json {
        return output::print_json(&json(&runs));
    }
    let mut rows = vec![[vec![String::new()], compare::names(&runs)].concat()];
    rows.extend(compare::table(&runs).into_iter().map(|(name, values)| [vec![name], values].concat()));
    let mut align = vec![Align::Left];
    align.resize(runs.len() + 1, Align::Right);
    output::print(&output::columns(&align, &rows))?;
    if let (Some(path), false) = (&args.out, quiet) {
        output::print(&format!("\ncurves: {}\n", output::path(path)))?;
    }
    Ok(())
}

fn json(runs: &[Run]) -> Value {
    let run = |run: &Run| {
        let epochs = run.epochs.iter().map(|epoch| {
            json!({
                "epoch": epoch.epoch, "step": epoch.step, "lr": epoch.lr,
                "train_loss": epoch.train_loss, "train_top1": epoch.train_top1,
                "val_loss": epoch.val_loss, "val_top1": epoch.val_top1, "val_top5": epoch.val_top5,
                "val_macro_f1": epoch.val_macro_f1,
            })
        });
        json!({
            "run": run.folder,
            "best_epoch": run.best().map(|best| best.epoch),
            "best_top1": run.best().map(alexnet::report::Epoch::top1),
            "epochs": epochs.collect::<Vec<_>>(),
            "planned": run.planned(),
            "done": matches!(run.ended(), Some(Ended::Done | Ended::EarlyStop)),
            "seconds": run.seconds(),
            "images_per_second": run.speed(),
        })
    };
    let settings: serde_json::Map<String, Value> =
        compare::differing(runs).into_iter().map(|(name, values)| (name, json!(values))).collect();
    json!({ "runs": runs.iter().map(run).collect::<Vec<_>>(), "differing": settings })
}

//! `alexnet explain filters`: first-layer filters.

use super::opened::Common;
use alexnet::explain::filters::{Scale, filters};

#[derive(clap::Args)]
pub(super) struct Args {
    /// Use one scale for all filters, so that strong ones stand out, instead of one per filter
    #[arg(long)]
    together: bool,
    #[command(flatten)]
    common: Common,
}

pub(super) fn run(args: &Args, quiet: bool) -> anyhow::Result<()> {
    let (model, engine) = args.common.open(1, quiet)?;
    let found = filters(&*engine, model.preprocess.channels)?;
    let scale = if args.together { Scale::Together } else { Scale::Each };
    let columns = if found.columns == 1 { String::new() } else { format!(", in {} columns", found.columns) };
    let summary = format!("{} filters of {} x {} pixels{columns}", found.count, found.size, found.size);
    args.common.finish("filters", &found.sheet(scale), &summary, serde_json::to_value(&found)?, quiet)
}

//! `alexnet data`: is a data set fit to learn from, and what training makes of it.

mod check;
mod findings;
mod preview;

use clap::Subcommand;

/// Options of `alexnet data`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Find broken images, duplicates, likely wrong labels, classes out of balance, odd sizes
    #[command(after_help = check::EXIT_STATUS)]
    Check(check::Args),
    /// Draw images as training sees them: cropped, mirrored, with noise on their colours
    Preview(preview::Args),
}

pub(crate) fn run(args: &Args, quiet: bool) -> anyhow::Result<()> {
    match &args.what {
        What::Check(args) => check::run(args, quiet),
        What::Preview(args) => preview::run(args, quiet),
    }
}

//! `alexnet data`: checks, splits, packs and augmentation previews of data sets.

mod check;
mod clean;
mod findings;
mod pack;
mod paths;
mod preview;
mod split;

use clap::Subcommand;

/// Options of `alexnet data`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Find broken images, duplicates, likely wrong labels, class imbalance, unusual sizes
    #[command(after_help = check::EXIT_STATUS)]
    Check(check::Args),
    /// Write a data set to one file, resized once, for faster training
    #[command(after_help = pack::EXAMPLES)]
    Pack(pack::Args),
    /// Draw augmented images as training sees them: cropped, mirrored, with colour noise
    Preview(preview::Args),
    /// Split a data set into training, validation and test lists, with near duplicates kept together
    Split(split::Args),
}

pub(crate) fn run(args: &Args, quiet: bool) -> anyhow::Result<()> {
    match &args.what {
        What::Check(args) => check::run(args, quiet),
        What::Pack(args) => pack::run(args, quiet),
        What::Preview(args) => preview::run(args, quiet),
        What::Split(args) => split::run(args, quiet),
    }
}

//! `alexnet explain`: what a model sees, and where.

mod cam;
mod dataset;
mod filters;
mod maps;
mod occlusion;
mod opened;
mod saliency;

use clap::Subcommand;

/// Options of `alexnet explain`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Show the filters of the first layer in colour, as the 2012 paper's Figure 3
    Filters(filters::Args),
    /// Show what a layer makes of an image, map by map
    Maps(maps::Args),
    /// Show which pixels an answer hangs on: the gradient of a class with respect to the image
    Saliency(saliency::Args),
    /// Show where a model sees a class: Grad-CAM or LayerCAM over the image
    Cam(cam::Args),
    /// Hide parts of an image in turn and show which of them the answer needs
    Occlusion(occlusion::Args),
    /// Show the worst mistakes in a data set, as the paper's Figure 4
    Errors(dataset::ErrorsArgs),
    /// Show the images of a data set that excite a unit most, cut to what it sees of them
    Maximal(dataset::MaximalArgs),
}

pub(crate) fn run(args: &Args, quiet: bool) -> anyhow::Result<()> {
    match &args.what {
        What::Filters(args) => filters::run(args, quiet),
        What::Maps(args) => maps::run(args, quiet),
        What::Saliency(args) => saliency::run(args, quiet),
        What::Cam(args) => cam::run(args, quiet),
        What::Occlusion(args) => occlusion::run(args, quiet),
        What::Errors(args) => dataset::errors(args, quiet),
        What::Maximal(args) => dataset::maximal(args, quiet),
    }
}

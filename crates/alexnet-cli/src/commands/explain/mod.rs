//! `alexnet explain`: visual explanations of models.

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
    /// Draw the first layer's filters in colour, as in the 2012 paper's Figure 3
    Filters(filters::Args),
    /// Draw a layer's activations for an image, one map per channel
    Maps(maps::Args),
    /// Draw the gradient of a class with respect to the input pixels
    Saliency(saliency::Args),
    /// Draw a class activation map (Grad-CAM or LayerCAM) over an image
    Cam(cam::Args),
    /// Hide parts of an image in turn and draw how the class probability changes
    Occlusion(occlusion::Args),
    /// Draw the worst mistakes on a data set, as in the paper's Figure 4
    Errors(dataset::ErrorsArgs),
    /// Draw the images that activate a unit most, cropped to its receptive field
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

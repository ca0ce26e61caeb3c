//! A row of the table of presets.

use crate::naming::ParamNaming;
use crate::net::Net;
use crate::preprocess::Preprocess;

/// A published network.
#[derive(Debug, Clone)]
pub struct Preset {
    /// Value of `--net`.
    pub name: &'static str,
    /// One-line description.
    pub about: &'static str,
    /// Source of its details: a paper's section, or a file in a repository.
    pub source: &'static str,
    /// Builds the net with the classes of its publication: ImageNet's 1,000, or CIFAR-10's 10.
    pub build: fn() -> Net,
    /// Input preprocessing; [`Preprocess::for_net`] scales it to other image sizes.
    pub preprocess: Preprocess,
    /// Parameter names in its original framework.
    pub naming: &'static ParamNaming,
}

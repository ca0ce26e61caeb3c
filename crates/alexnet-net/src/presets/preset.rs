//! A row of the table of presets.

use crate::naming::ParamNaming;
use crate::net::Net;
use crate::preprocess::Preprocess;

/// A published network.
#[derive(Debug, Clone)]
pub struct Preset {
    /// What `--net` takes.
    pub name: &'static str,
    /// What it is, in a line.
    pub about: &'static str,
    /// Where its facts come from: section of a paper, or file of a repository.
    pub source: &'static str,
    /// Makes it, with 1,000 classes.
    pub build: fn() -> Net,
    /// How images become its input; [`Preprocess::for_net`] scales it to other image sizes.
    pub preprocess: Preprocess,
    /// Names of its parameters where it comes from.
    pub naming: &'static ParamNaming,
}

//! Subcommands, one file each: arguments and output.

pub(crate) mod bench;
pub(crate) mod compare;
pub(crate) mod completions;
pub(crate) mod convert;
pub(crate) mod data;
pub(crate) mod devices;
pub(crate) mod dist_args;
mod engine_args;
pub(crate) mod eval;
pub(crate) mod explain;
pub(crate) mod features;
pub(crate) mod inspect;
mod labels;
pub(crate) mod lpips;
pub(crate) mod man;
pub(crate) mod nets;
pub(crate) mod plan;
pub(crate) mod predict;
mod preprocess_args;
pub(crate) mod quantize;
pub(crate) mod report;
pub(crate) mod selftest;
pub(crate) mod serve;
mod signals;
pub(crate) mod similar;
pub(crate) mod summary;
pub(crate) mod train;

//! One small file a command: its arguments, and what it prints.

mod arithmetic;
pub(crate) mod bench;
pub(crate) mod compare;
pub(crate) mod completions;
pub(crate) mod convert;
pub(crate) mod data;
pub(crate) mod devices;
pub(crate) mod eval;
pub(crate) mod explain;
pub(crate) mod features;
pub(crate) mod inspect;
pub(crate) mod lpips;
mod machine;
pub(crate) mod man;
pub(crate) mod nets;
mod pictures;
pub(crate) mod plan;
pub(crate) mod predict;
pub(crate) mod quantize;
pub(crate) mod ranks;
pub(crate) mod report;
pub(crate) mod selftest;
pub(crate) mod serve;
pub(crate) mod similar;
pub(crate) mod summary;
pub(crate) mod train;

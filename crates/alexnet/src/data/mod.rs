//! Data sets of [`alexnet_data`], and the loader that turns one into batches.

pub mod loader;

pub use alexnet_data::*;

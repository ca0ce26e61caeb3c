//! Optimizers: how parameters move by their gradients, a folder for each.

mod norm;
pub mod sgd;

pub use norm::norm;

/// Floats of one task: w, v and g then fill 192 KiB, which a core's second-level cache holds.
pub(crate) const CHUNK: usize = 1 << 14;

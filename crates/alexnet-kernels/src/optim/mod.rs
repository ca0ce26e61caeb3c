//! Optimizers: how parameters move by their gradients, a file for each.
//!
//! An optimizer is its settings ([`Settings`]), which users write down by name, and the [`Formula`] that follows from them at one
//! step. The formula is written once, for any [`Number`]: plain floats here, tensors of another device elsewhere. [`Optimizer`] is
//! the list of them all. To add one: a file, its `mod` line here, and a line in `list.rs`.

pub mod adamw;
mod average;
mod formula;
mod lars;
mod list;
mod norm;
pub mod sgd;
#[cfg(test)]
mod tests;
mod update;

pub use average::{add, average};
pub use formula::{Formula, Number, Settings};
pub use list::{Optimizer, Step, Visitor, slots};
pub use norm::norm;
pub use sgd::MomentumForm;
pub(crate) use update::update_chunk;
pub use update::{update, update_scaled};

/// Floats of one task: w, its state and g then fill 192 to 256 KiB, which a core's second-level cache holds.
pub(crate) const CHUNK: usize = 1 << 14;

/// Learning rate and weight decay of one parameter at one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    /// Learning rate.
    pub lr: f32,
    /// Weight decay; most recipes use 0 for biases.
    pub weight_decay: f32,
}

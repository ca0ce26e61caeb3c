//! Model files in and out: safetensors whose metadata holds the net, the preprocessing, the classes and the recipe.
//!
//! Such a file opens anywhere and runs no code. Equal models give equal bytes: tensors and keys are sorted, and no time
//! or path is inside. Every size that a file claims is checked before it is believed.

mod container;
mod model;
#[cfg(test)]
mod tests;
mod values;

pub(crate) use container::{Entry, TensorFile};
pub(crate) use model::{Extra, METADATA_STATE, read_description, write_from};
pub use model::{Model, parameters, read, write};
pub use values::Values;

//! Model files in and out: safetensors whose metadata holds the net, the preprocessing, the classes and the recipe.
//!
//! Such a file opens anywhere and runs no code. Equal models give equal bytes: tensors and keys are sorted, and no time
//! or path is inside. Every size that a file claims is checked before it is believed.

mod caffe;
mod chain;
mod container;
mod contents;
mod form;
#[cfg(test)]
mod golden;
mod identify;
pub mod imagenet;
mod inspect;
mod known;
mod model;
mod names;
mod onnx;
mod open;
mod paddle;
#[cfg(test)]
mod paddle_tests;
mod pickle;
mod protobuf;
mod pth;
mod save;
mod source;
#[cfg(test)]
mod tests;
mod values;

pub(crate) use container::{Entry, TensorFile};
pub(crate) use model::{Extra, METADATA_STATE, read_description, write_from};
pub use model::{Model, parameters, read, write};
pub use caffe::read_mean;
pub use contents::Format;
pub use inspect::{Inspection, TensorLine, inspect};
pub use names::Names;
pub use open::open;
pub use save::{SaveOptions, save};
pub use values::Values;

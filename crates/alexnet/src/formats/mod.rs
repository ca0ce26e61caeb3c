//! Model files in and out.
//!
//! Ours is safetensors whose metadata holds the net, the preprocessing, the classes and the recipe (`container`, `model`). Such a
//! file opens anywhere and runs no code. Equal models give equal bytes: tensors and keys are sorted, and no time or path is
//! inside.
//!
//! Others' files ([`open`], [`inspect`]) go three ways, the same for all: a format's reader (`pth`, `onnx`, `caffe`, `paddle`)
//! notes names, shapes and places (`contents`); `identify` tells whose they are and why; then the values are read into our order.
//! [`save`] goes back: what must change so that answers stay is changed (`save`), and a format's writer writes it.
//!
//! Every size that a file claims is held against the file before memory is taken for it.

mod caffe;
mod chain;
mod classifier;
mod container;
mod contents;
mod foreign;
mod form;
#[cfg(test)]
mod golden;
mod identify;
#[cfg(test)]
mod identify_tests;
pub mod imagenet;
mod inspect;
mod known;
mod mean;
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
mod recognise;
mod save;
mod source;
#[cfg(test)]
mod tests;
mod values;

pub(crate) use container::{Entry, TensorFile, write_tensors, write_values};
pub use contents::Format;
pub use inspect::{Inspection, TensorLine, inspect};
pub use mean::read_mean;
pub(crate) use model::{Extra, METADATA_STATE, read_description, write_from};
pub use model::{Model, parameters, read, write};
pub use names::Names;
pub(crate) use open::contents;
pub use open::{open, open_copied, open_for_finetuning, open_with_notes, sha256};
pub(crate) use protobuf::Message;
pub use save::{SaveOptions, save};
pub(crate) use values::Mapping;
pub use values::Values;

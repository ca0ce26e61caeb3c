//! Model files in and out.
//!
//! Ours is safetensors whose metadata holds the net, the preprocessing, the classes and the recipe (`safetensors`, `model`). Such a
//! file opens anywhere and runs no code. Equal models give equal bytes: tensors and keys are sorted, and no time or path is
//! inside.
//!
//! Others' files ([`load`], [`inspect`]) go three ways, the same for all: a format's reader (`pth`, `onnx`, `caffe`, `paddle`)
//! notes names, shapes and places (`parsed`); `identify` tells whose they are and why; then the values are read into our order.
//! [`export`] goes back: what must change so that answers stay is changed (`export`), and a format's writer writes it.
//!
//! Every size that a file claims is held against the file before memory is taken for it.

mod caffe;
mod checksums;
mod classifier;
mod equivalence;
mod export;
#[cfg(test)]
mod golden;
mod identify;
#[cfg(test)]
mod identify_tests;
pub mod imagenet;
mod inspect;
mod load;
mod mean_file;
mod model;
mod names;
mod net_builder;
mod onnx;
mod paddle;
#[cfg(test)]
mod paddle_tests;
mod param_names;
mod parsed;
mod pickle;
mod protobuf;
mod pth;
mod reader;
mod safetensors;
mod tensor_data;
#[cfg(test)]
mod tests;
mod unsupported;

pub use export::{ExportOptions, export};
pub use inspect::{Inspection, TensorLine, inspect};
pub(crate) use load::parse;
pub use load::{load, load_copied, load_for_finetuning, load_with_notes, sha256};
pub use mean_file::read_mean;
pub(crate) use model::{Extra, METADATA_STATE, read_description, write_from};
pub use model::{Model, parameters, read, write};
pub use names::Names;
pub use parsed::Format;
pub(crate) use protobuf::Message;
pub(crate) use safetensors::{Entry, TensorFile, write_tensors, write_values};
pub(crate) use tensor_data::Mapping;
pub use tensor_data::TensorData;

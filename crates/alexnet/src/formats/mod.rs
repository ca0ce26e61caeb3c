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
mod detect;
mod equivalence;
mod export;
mod export_plan;
mod format;
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
mod registry;
mod safetensors;
mod tensor;
mod tensor_data;
#[cfg(test)]
mod tests;
mod unsupported;

pub use detect::parse;
pub use export::export;
pub use export_plan::ExportOptions;
pub use inspect::{Inspection, TensorLine, inspect};
pub use load::{load, load_copied, load_for_finetuning, load_with_notes, sha256};
pub use mean_file::read_mean;
pub(crate) use model::{Extra, METADATA_STATE, read_description, write_from};
pub use model::{Model, parameters, read, write};
pub use parsed::ParsedFile;
pub(crate) use protobuf::Message;
pub use registry::endings;
pub(crate) use safetensors::{Entry, TensorFile, write_tensors};
pub use tensor::{Dtype, Tensor};
pub use tensor_data::TensorData;
pub(crate) use tensor_data::{Mapping, write_values};

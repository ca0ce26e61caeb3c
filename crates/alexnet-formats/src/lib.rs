//! AlexNet weights in the file formats of other frameworks, read and written in pure Rust.
//!
//! Supports PyTorch's `.pth` in all its containers, safetensors, ONNX, Caffe's `.caffemodel` and Paddle's `.pdparams`. No code in
//! a file is ever run: a pickle is parsed as data, and a global outside the allow-list is an error. Every size in a file is
//! checked against the file's length before memory is allocated for it.
//!
//! Reading tensors by name from any of these formats:
//!
//! ```
//! # fn main() -> alexnet_formats::Result<()> {
//! # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/zip.pth");
//! let file = alexnet_formats::parse(path)?;
//! println!("{}: {} tensors", file.format(), file.tensors().len());
//! let tensor = file.tensor("conv1.weight").expect("a tensor of this name");
//! let values: Vec<f32> = file.values(tensor)?;
//! assert_eq!(values.len(), tensor.shape.iter().product::<usize>());
//! # Ok(())
//! # }
//! ```
//!
//! A [`Model`] also holds the net that the tensors belong to, its parameters in canonical order, preprocessing and class names.
//! [`load`] identifies the net, [`inspect`] reports the reasons, and [`export`] writes the model in the format given by the file
//! extension, with the changes needed to preserve its outputs.
//!
//! ```no_run
//! use alexnet_formats::{ExportOptions, export, load};
//!
//! # fn main() -> alexnet_formats::Result<()> {
//! let model = load("alexnet-owt-7be5be79.pth", None)?;
//! export("alexnet.onnx", &model, ExportOptions::default())?;
//! # Ok(())
//! # }
//! ```
//!
//! This program's own files are safetensors whose metadata hold the net, the preprocessing, the classes and the recipe. Equal
//! models give equal bytes: tensors and keys are sorted, and no time or path is stored.

mod caffe;
mod classifier;
mod detect;
mod equivalence;
mod export;
mod export_plan;
mod format;
#[cfg(test)]
mod forward;
#[cfg(test)]
mod golden;
mod identify;
mod inspect;
mod load;
mod mean_file;
mod model;
mod net_builder;
pub mod npy;
mod onnx;
mod paddle;
mod param_names;
mod parsed;
mod pickle;
mod protobuf;
mod pth;
pub mod published;
mod quant_params;
mod reader;
mod registry;
mod safetensors;
mod tensor;
mod tensor_data;
#[cfg(test)]
mod tests;
mod unsupported;

pub use alexnet_files::{Error, Result};
pub use detect::parse;
pub use export::export;
pub use export_plan::ExportOptions;
pub use inspect::{Inspection, TensorLine, inspect};
pub use load::{load, load_copied, load_for_finetuning, load_with_notes, sha256};
pub use mean_file::read_mean;
pub use model::{Extra, METADATA_STATE, Model, parameters, read, read_description, write, write_from};
pub use parsed::ParsedFile;
pub use protobuf::Message;
pub use quant_params::{ActivationRanges, QuantParams};
pub use registry::endings;
pub use safetensors::{Entry, TensorFile, write_tensors};
pub use tensor::{Dtype, Tensor};
pub use tensor_data::{Mapping, TensorData, write_values};

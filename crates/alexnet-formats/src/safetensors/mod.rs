//! safetensors: the container, and models stored in it.

pub(crate) mod container;
mod format;

pub use container::{Entry, TensorFile, write_tensors};
pub(crate) use format::Safetensors;

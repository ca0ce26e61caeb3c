//! A parsed file of any format, before its net is identified: named tensors and metadata.

use super::format::{Content, Format, Graph};
use super::reader::{ParseResult, Reader};
use super::tensor::Tensor;
use crate::{Error, Result};
use std::collections::BTreeMap;

/// A file's tensors and metadata.
#[derive(Debug)]
pub struct ParsedFile {
    pub(crate) reader: Reader,
    pub(crate) format: &'static dyn Format,
    /// Tensors in file order.
    pub(crate) tensors: Vec<Tensor>,
    /// Our own model metadata (net, preprocess, classes, recipe), if the file has them.
    pub(crate) metadata: BTreeMap<String, String>,
    /// The net that the file describes layer by layer (ONNX, Caffe), and the tensors of its parameters; or why the graph is
    /// unsupported.
    pub(crate) graph: Option<ParseResult<Graph>>,
    /// Ignored parts, for `inspect`: optimizer state, unknown keys.
    pub(crate) remarks: Vec<String>,
}

impl ParsedFile {
    /// Wraps the output of a format's reader.
    pub(crate) fn new(reader: Reader, format: &'static dyn Format, content: Content) -> Self {
        let Content { tensors, metadata, graph, remarks } = content;
        ParsedFile { reader, format, tensors, metadata, graph, remarks }
    }

    /// Display name of the format.
    pub fn format(&self) -> &'static str {
        self.format.name()
    }

    /// The tensors, in file order.
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// The tensor of this name.
    pub fn tensor(&self, name: &str) -> Option<&Tensor> {
        self.tensors.iter().find(|tensor| tensor.name == name)
    }

    /// Metadata strings by key.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// Ignored parts, one sentence each.
    pub fn remarks(&self) -> &[String] {
        &self.remarks
    }

    /// Reads a tensor's values as f32 in row-major order.
    ///
    /// # Errors
    /// A non-float dtype, or a file that is shorter than its header states.
    pub fn values(&self, tensor: &Tensor) -> Result<Vec<f32>> {
        tensor.values(&self.reader).map_err(|message| Error::file(self.reader.path(), message))
    }
}

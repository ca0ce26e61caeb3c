//! A parsed file of any format, before it is known which net it belongs to: named tensors and what is said of them.

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
    /// In the file's order.
    pub(crate) tensors: Vec<Tensor>,
    /// Our own metadata of the model (net, preprocess, classes, recipe), where the file carries them.
    pub(crate) metadata: BTreeMap<String, String>,
    /// The net that the file itself describes, layer by layer (ONNX, Caffe), and which tensors its parameters are; or why that is
    /// no net of this program's.
    pub(crate) graph: Option<ParseResult<Graph>>,
    /// What was left aside, in words for `inspect`: an optimizer's state, an unknown key.
    pub(crate) remarks: Vec<String>,
}

impl ParsedFile {
    /// What a format's reader found in a file.
    pub(crate) fn new(reader: Reader, format: &'static dyn Format, content: Content) -> Self {
        let Content { tensors, metadata, graph, remarks } = content;
        ParsedFile { reader, format, tensors, metadata, graph, remarks }
    }

    /// The format's name in words.
    pub fn format(&self) -> &'static str {
        self.format.name()
    }

    /// The tensors, in the file's order.
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// The tensor of this name.
    pub fn tensor(&self, name: &str) -> Option<&Tensor> {
        self.tensors.iter().find(|tensor| tensor.name == name)
    }

    /// Texts that the file holds, by key.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// What was left aside, a sentence each.
    pub fn remarks(&self) -> &[String] {
        &self.remarks
    }

    /// Reads a tensor's values as f32, row by row.
    ///
    /// # Errors
    /// Numbers that are not floats, or a file that does not hold what its header says.
    pub fn values(&self, tensor: &Tensor) -> Result<Vec<f32>> {
        tensor.values(&self.reader).map_err(|message| Error::file(self.reader.path(), message))
    }
}

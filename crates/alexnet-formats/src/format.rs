//! The interface of a weight file format: detection, reading and writing.
//!
//! A new format implements [`Format`] and is added to the list in [`registry`](super::registry).

use super::export_plan::ExportOptions;
use super::model::Model;
use super::reader::{ParseResult, Reader};
use super::tensor::Tensor;
use crate::{Error, Result};
use alexnet_net::Preprocess;
use alexnet_net::{Net, ParamNaming};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

/// A file format of weights.
pub(crate) trait Format: Sync {
    /// Display name, as shown by `inspect`.
    fn name(&self) -> &'static str;

    /// The framework that the format belongs to. Formats of one framework differ only in their container.
    fn framework(&self) -> &'static str {
        self.name()
    }

    /// How reliably [`sniff`](Self::sniff) identifies it.
    fn mark(&self) -> Mark;

    /// Whether a file is of this format, from its first 512 bytes (`head`) or from its fields.
    fn sniff(&self, reader: &Reader, head: &[u8]) -> bool;

    /// Reads names, shapes and locations of the tensors without loading values.
    ///
    /// # Errors
    /// An invalid file, described without its name.
    fn read(&self, reader: &Reader) -> ParseResult<Content>;

    /// Whether square linear weights are [in, out].
    fn linear_in_out(&self) -> bool {
        false
    }

    /// Presets most often stored in this format.
    fn usual_presets(&self) -> &'static [&'static str] {
        &[]
    }

    /// Extensions that [`write`](Self::write) produces, the usual one first; empty for a read-only format.
    fn endings(&self) -> &'static [&'static str] {
        &[]
    }

    /// Whether files hold a graph that could include the preprocessing.
    fn has_graph(&self) -> bool {
        false
    }

    /// Why the format cannot store parameters under this naming scheme, if it cannot.
    fn refuses(&self, _naming: &ParamNaming) -> Option<&'static str> {
        None
    }

    /// Writes a model, and returns one remark per change made to preserve its outputs.
    ///
    /// # Errors
    /// Layers or names that the format cannot express, or a file that cannot be written; an existing file is kept.
    fn write(&self, path: &Path, _model: &Model, _options: ExportOptions) -> Result<Vec<String>> {
        Err(Error::file(path, format!("writing {} is not supported", self.name())))
    }
}

impl fmt::Debug for dyn Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How reliably a format is identified by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    /// The signature is unique to the format.
    Own,
    /// Other programs' files share the signature: if parsing fails, the file name may be more informative than the error.
    Shared,
    /// No signature: the fallback for files that match nothing else.
    Missing,
}

/// Contents of a file as found by a format's reader.
#[derive(Debug, Default)]
pub(crate) struct Content {
    /// Tensors in file order.
    pub(crate) tensors: Vec<Tensor>,
    /// Metadata strings by key.
    pub(crate) metadata: BTreeMap<String, String>,
    /// The net that the file describes layer by layer, or why it is unsupported.
    pub(crate) graph: Option<ParseResult<Graph>>,
    /// One remark per ignored part.
    pub(crate) remarks: Vec<String>,
}

/// A net described by the file.
#[derive(Debug, Clone)]
pub(crate) struct Graph {
    pub(crate) net: Net,
    /// For each parameter of the net (`conv1.weight`): its tensor index, and whether it is [in, out].
    pub(crate) parameters: Vec<(String, usize, bool)>,
    /// Input normalisation stored in the file, for example within the graph.
    pub(crate) preprocess: Option<Preprocess>,
    /// Whether the file specifies how images are resized.
    pub(crate) resizes: bool,
}

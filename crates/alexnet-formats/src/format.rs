//! What a file format of weights is: how its files are recognised, read and written.
//!
//! A new format is one implementation of [`Format`] and a line in the list of [`registry`](super::registry).

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
    /// Its name in words, as `inspect` shows it.
    fn name(&self) -> &'static str;

    /// The framework that it comes from; a framework's formats differ in their container alone.
    fn framework(&self) -> &'static str {
        self.name()
    }

    /// How surely [`sniff`](Self::sniff) knows it.
    fn mark(&self) -> Mark;

    /// Whether a file is of this format, by its first 512 bytes (`head`) or by a walk along its fields.
    fn sniff(&self, reader: &Reader, head: &[u8]) -> bool;

    /// Reads names, shapes and places of the tensors; no values.
    ///
    /// # Errors
    /// What is wrong with the file, without its name.
    fn read(&self, reader: &Reader) -> ParseResult<Content>;

    /// Whether linear weights whose shape is square are [in, out].
    fn linear_in_out(&self) -> bool {
        false
    }

    /// Presets that such files hold most often.
    fn usual_presets(&self) -> &'static [&'static str] {
        &[]
    }

    /// Endings of the files that [`write`](Self::write) writes, the usual one first; none if it is only read.
    fn endings(&self) -> &'static [&'static str] {
        &[]
    }

    /// Whether a file holds a graph that could prepare images itself.
    fn has_graph(&self) -> bool {
        false
    }

    /// Why parameters cannot have these names in a file of this format.
    fn refuses(&self, _naming: &ParamNaming) -> Option<&'static str> {
        None
    }

    /// Writes a model, and returns remarks on what was changed so that its answers stay, a sentence each.
    ///
    /// # Errors
    /// Layers or names that the format cannot express, or a file that cannot be written; one that stood there before is kept.
    fn write(&self, path: &Path, _model: &Model, _options: ExportOptions) -> Result<Vec<String>> {
        Err(Error::file(path, format!("{} is only read here", self.name())))
    }
}

impl fmt::Debug for dyn Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How surely a format is known by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    /// No other program's files begin so.
    Own,
    /// Other programs' files begin so, too: if this one cannot be read, its name may tell more than what it lacks.
    Shared,
    /// None: it is what a file may be that is nothing else.
    Missing,
}

/// What a format's reader finds in a file.
#[derive(Debug, Default)]
pub(crate) struct Content {
    /// In the file's order.
    pub(crate) tensors: Vec<Tensor>,
    /// Texts by key.
    pub(crate) metadata: BTreeMap<String, String>,
    /// The net that the file describes layer by layer, or why that is no net of this program's.
    pub(crate) graph: Option<ParseResult<Graph>>,
    /// What was left aside, a sentence each.
    pub(crate) remarks: Vec<String>,
}

/// A net as the file describes it.
#[derive(Debug, Clone)]
pub(crate) struct Graph {
    pub(crate) net: Net,
    /// For each parameter of the net (`conv1.weight`): the number of its tensor, and whether it is [in, out].
    pub(crate) parameters: Vec<(String, usize, bool)>,
    /// Numbers that the file itself puts before the net, such as a preprocessing within the graph.
    pub(crate) preprocess: Option<Preprocess>,
    /// Whether the file says how images are resized before.
    pub(crate) resizes: bool,
}

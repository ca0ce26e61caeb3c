//! ONNX files: a graph of operators with its constants. A chain of AlexNet operators is read as a net, and a net is written as
//! one. Field numbers follow `onnx.proto`.

mod arithmetic;
mod fold;
mod graph;
mod input_normalization;
mod lrn_pattern;
mod own;
mod proto;
mod step;
#[cfg(test)]
mod tests;
mod window;
mod write;

use super::export_plan::{ExportOptions, plain_export};
use super::format::{Content, Format, Mark};
use super::model::{self, Model};
use super::protobuf::{self, Field};
use super::reader::{ParseResult, Reader};
use crate::Result;
use alexnet_net::ParamNaming;
use std::path::Path;
use write::write;

/// ONNX.
#[derive(Debug)]
pub(crate) struct Onnx;

impl Format for Onnx {
    fn name(&self) -> &'static str {
        "ONNX"
    }

    fn mark(&self) -> Mark {
        Mark::Shared
    }

    /// Accepts files with the fields that every ModelProto has and none that it cannot have. The format has no magic number.
    fn sniff(&self, reader: &Reader, _head: &[u8]) -> bool {
        let mut cursor = reader.cursor(0, reader.length());
        let (mut version, mut graph) = (false, false);
        // A model has a few dozen fields at most; a wrong match should fail early.
        for _ in 0..1000 {
            match protobuf::next(&mut cursor) {
                Ok(Some((1, Field::Varint(_)))) => version = true,
                Ok(Some((7, Field::Bytes(_)))) => graph = true,
                Ok(Some((2..=4 | 6 | 8 | 14 | 20 | 25 | 26, Field::Bytes(_)) | (5, Field::Varint(_)))) => {}
                Ok(Some(_)) => return false,
                // Truncated within the graph; the parser reports it.
                Err(_) => return version,
                Ok(None) => return version && graph,
            }
        }
        false
    }

    /// Unsupported operators, and a graph that is not a chain, are reported when the graph is used.
    fn read(&self, reader: &Reader) -> ParseResult<Content> {
        parse(reader)
    }

    fn endings(&self) -> &'static [&'static str] {
        &["onnx"]
    }

    fn has_graph(&self) -> bool {
        true
    }

    fn refuses(&self, naming: &ParamNaming) -> Option<&'static str> {
        (!naming.is_own()).then_some("an .onnx graph determines its tensor names")
    }

    fn write(&self, path: &Path, model: &Model, options: ExportOptions) -> Result<Vec<String>> {
        let (export, remarks) = plain_export(model)?;
        write(path, &export, options.preprocess_in_graph)?;
        Ok(remarks)
    }
}

fn parse(reader: &Reader) -> ParseResult<Content> {
    let mut model = proto::model(reader)?;
    // Our own files name their parameters and their net; nodes before the net are then its preprocessing.
    let mut changed = None;
    if model::is_ours(&model.metadata) {
        changed = own::difference(&model);
        if changed.is_none() {
            return Ok(Content { tensors: model.tensors, metadata: model.metadata, ..Content::default() });
        }
    }
    let (graph, mut remarks) = match graph::net(&mut model, reader) {
        Ok((graph, remarks)) => (Ok(graph), remarks),
        Err(why) => (Err(why), Vec::new()),
    };
    let graph = match changed {
        None => graph,
        Some(changed) => {
            let change = format!("its graph was modified by another program ({changed})");
            remarks.push(format!("{change}; reading the modified graph"));
            graph.map_err(|why| format!("{change}: {why}"))
        }
    };
    Ok(Content { tensors: model.tensors, metadata: model.metadata, graph: Some(graph), remarks })
}

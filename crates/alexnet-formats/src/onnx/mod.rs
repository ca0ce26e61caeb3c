//! ONNX files: a graph of operators with its constants. Read as a net when it is a chain of AlexNet's operators; written as one.
//! Field numbers after `onnx.proto`.

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

    /// One field of each kind that every ModelProto has, and none that it cannot have. There is no mark at its beginning.
    fn sniff(&self, reader: &Reader, _head: &[u8]) -> bool {
        let mut cursor = reader.cursor(0, reader.length());
        let (mut version, mut graph) = (false, false);
        // A model has some dozens of fields at most; a wrong guess should end soon.
        for _ in 0..1000 {
            match protobuf::next(&mut cursor) {
                Ok(Some((1, Field::Varint(_)))) => version = true,
                Ok(Some((7, Field::Bytes(_)))) => graph = true,
                Ok(Some((2..=4 | 6 | 8 | 14 | 20 | 25 | 26, Field::Bytes(_)) | (5, Field::Varint(_)))) => {}
                Ok(Some(_)) => return false,
                // Cut off within the graph: its reader will say so.
                Err(_) => return version,
                Ok(None) => return version && graph,
            }
        }
        false
    }

    /// Operators that AlexNet does not have, and a graph that is no chain, are told where they are wanted.
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
        (!naming.is_own()).then_some("the graph of an .onnx says what its tensors are")
    }

    fn write(&self, path: &Path, model: &Model, options: ExportOptions) -> Result<Vec<String>> {
        let (export, remarks) = plain_export(model)?;
        write(path, &export, options.preprocess_in_graph)?;
        Ok(remarks)
    }
}

fn parse(reader: &Reader) -> ParseResult<Content> {
    let mut model = proto::model(reader)?;
    // Our own files name their parameters and their net; what stands before the net in the graph is then its preprocessing.
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
            let told = format!("its graph is no longer the one that this program wrote into it ({changed})");
            remarks.push(format!("{told}, and is read as it stands"));
            graph.map_err(|why| format!("{told}, and {why}"))
        }
    };
    Ok(Content { tensors: model.tensors, metadata: model.metadata, graph: Some(graph), remarks })
}

//! ONNX files: a graph of operators with its constants. Read as a net when it is a chain of AlexNet's operators; written as one.
//! Field numbers after `onnx.proto`.

mod arithmetic;
mod fold;
#[cfg(test)]
mod fold_tests;
mod graph;
#[cfg(test)]
mod graph_tests;
mod input_normalization;
mod lrn_pattern;
mod own;
mod proto;
mod step;
#[cfg(test)]
mod tests;
mod window;
mod write;

use super::parsed::{Format, ParsedFile};
use super::protobuf::{self, Field};
use super::reader::{ParseResult, Reader};
pub(crate) use write::write;

/// Whether a file is a ModelProto: one field of each kind that every model has, and none that it cannot have. There is no mark
/// at its beginning.
pub(crate) fn is_onnx(reader: &Reader) -> bool {
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

/// Reads a model.
///
/// # Errors
/// A broken message. Operators that AlexNet does not have, and a graph that is no chain, are told where they are wanted.
pub(crate) fn read(reader: Reader) -> Result<ParsedFile, (Reader, String)> {
    match parse(&reader) {
        Ok((tensors, metadata, graph, remarks)) => {
            Ok(ParsedFile { format: Format::Onnx, reader, tensors, metadata, graph, remarks })
        }
        Err(why) => Err((reader, why)),
    }
}

type Parsed = (
    Vec<super::parsed::Tensor>,
    std::collections::BTreeMap<String, String>,
    Option<ParseResult<super::parsed::Graph>>,
    Vec<String>,
);

fn parse(reader: &Reader) -> ParseResult<Parsed> {
    let mut model = proto::model(reader)?;
    // Our own files name their parameters and their net; what stands before the net in the graph is then its preprocessing.
    let mut changed = None;
    if super::model::is_ours(&model.metadata) {
        changed = own::difference(&model);
        if changed.is_none() {
            return Ok((model.tensors, model.metadata, None, Vec::new()));
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
    Ok((model.tensors, model.metadata, Some(graph), remarks))
}

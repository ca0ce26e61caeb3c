//! Caffe's files: `.caffemodel` (NetParameter with layers of all three generations) and `mean.binaryproto` (BlobProto). Field
//! numbers after `caffe.proto`.
//!
//! Caffe feeds blue first, 0 to 255 less a mean. A published model keeps its net's layers beside their weights, so that bvlc and
//! caffenet, whose shapes are equal, can be told apart.

mod active_layers;
mod net;
mod proto;
#[cfg(test)]
mod tests;
mod write;

use super::parsed::{Format, ParsedFile};
use super::protobuf::{self, Field};
use super::reader::{ParseResult, Reader};
use std::collections::BTreeMap;
pub(crate) use write::{fed_by_caffe, write};

/// Fields of ours in a NetParameter, far from Caffe's own, which its parser passes over: what a model is beyond its weights, and its
/// mean picture.
const ABOUT: u32 = 15_000;
const MEAN: u32 = 15_001;

/// Whether a file is a NetParameter: layers, and no field that it cannot have. There is no mark at its beginning.
pub(crate) fn is_caffe(reader: &Reader) -> bool {
    let mut cursor = reader.cursor(0, reader.length());
    let mut layers = 0;
    for _ in 0..1000 {
        match protobuf::next(&mut cursor) {
            Ok(Some((2 | 100, Field::Bytes(_)))) => layers += 1,
            // ONNX has texts and numbers elsewhere: its field 1 is a number.
            Ok(Some((1 | 3 | 6 | 8 | 15_000 | 15_001, Field::Bytes(_)) | (4 | 5 | 7, Field::Varint(_)) | (4, _))) => {}
            Ok(Some(_)) => return false,
            Err(_) => return layers > 0,
            Ok(None) => break,
        }
    }
    layers > 0
}

/// Reads a NetParameter.
///
/// # Errors
/// A broken message. Layers that are no chain of AlexNet's are told where they are wanted.
pub(crate) fn read(reader: Reader) -> Result<ParsedFile, (Reader, String)> {
    match parse(&reader) {
        Ok(parsed) => {
            let proto::Net { tensors, metadata, .. } = parsed.0;
            let format = Format::Caffe;
            Ok(ParsedFile { reader, format, tensors, metadata, graph: parsed.1, remarks: parsed.2 })
        }
        Err(why) => Err((reader, why)),
    }
}

fn parse(reader: &Reader) -> ParseResult<(proto::Net, Option<ParseResult<super::parsed::Graph>>, Vec<String>)> {
    let mut net = proto::read(reader)?;
    if net.tensors.is_empty() {
        return Err("a Caffe net without weights: a .prototxt's message, or cut off".into());
    }
    // Our own files name their net.
    if let Some(text) = net.metadata.remove("about") {
        net.metadata = serde_json::from_str::<BTreeMap<String, String>>(&text)
            .map_err(|e| format!("what this program wrote into it cannot be understood: {e}"))?;
        return Ok((net, None, Vec::new()));
    }
    Ok(match net::graph(&mut net) {
        Ok((graph, remarks)) => (net, graph.map(Ok), remarks),
        Err(why) => (net, Some(Err(why)), Vec::new()),
    })
}

/// The blob that a `mean.binaryproto` is.
pub(super) fn mean_blob(reader: &Reader) -> ParseResult<super::parsed::Tensor> {
    proto::blob(reader.cursor(0, reader.length()), "mean")
}

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

use super::export_plan::{ExportOptions, plain_export};
use super::format::{Content, Format, Graph, Mark};
use super::model::Model;
use super::protobuf::{self, Field};
use super::reader::{ParseResult, Reader};
use super::tensor::Tensor;
use crate::Result;
use alexnet_net::ParamNaming;
use std::collections::BTreeMap;
use std::path::Path;
use write::{fed_by_caffe, write};

/// Fields of ours in a NetParameter, far from Caffe's own, which its parser passes over: what a model is beyond its weights, and its
/// mean image.
const ABOUT: u32 = 15_000;
const MEAN: u32 = 15_001;

/// Caffe's NetParameter.
#[derive(Debug)]
pub(crate) struct Caffe;

impl Format for Caffe {
    fn name(&self) -> &'static str {
        "Caffe"
    }

    fn mark(&self) -> Mark {
        Mark::Shared
    }

    /// Layers, and no field that a NetParameter cannot have. There is no mark at its beginning.
    fn sniff(&self, reader: &Reader, _head: &[u8]) -> bool {
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

    /// Layers that are no chain of AlexNet's are told where they are wanted.
    fn read(&self, reader: &Reader) -> ParseResult<Content> {
        let (proto::Net { tensors, metadata, .. }, graph, remarks) = parse(reader)?;
        Ok(Content { tensors, metadata, graph, remarks })
    }

    fn usual_presets(&self) -> &'static [&'static str] {
        &["bvlc", "caffenet"]
    }

    fn endings(&self) -> &'static [&'static str] {
        &["caffemodel"]
    }

    fn refuses(&self, naming: &ParamNaming) -> Option<&'static str> {
        (!naming.is_own()).then_some("Caffe's layers have Caffe's names")
    }

    fn write(&self, path: &Path, model: &Model, _options: ExportOptions) -> Result<Vec<String>> {
        let (fed, remark) = fed_by_caffe(model)?;
        let (export, mut remarks) = plain_export(&fed)?;
        write(path, &export)?;
        remarks.extend(remark);
        Ok(remarks)
    }
}

fn parse(reader: &Reader) -> ParseResult<(proto::Net, Option<ParseResult<Graph>>, Vec<String>)> {
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
pub(super) fn mean_blob(reader: &Reader) -> ParseResult<Tensor> {
    proto::blob(reader.cursor(0, reader.length()), "mean")
}

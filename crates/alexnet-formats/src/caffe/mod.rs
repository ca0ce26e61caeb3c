//! Caffe files: `.caffemodel` (NetParameter, all three layer generations) and `mean.binaryproto` (BlobProto). Field numbers
//! follow `caffe.proto`.
//!
//! Caffe feeds BGR in 0 to 255 minus a mean. A published model stores its layers with the weights, which distinguishes bvlc from
//! caffenet although their shapes are equal.

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

/// Our own fields in a NetParameter: the model's metadata and its mean image. Their numbers are far from Caffe's, so its parser
/// skips them.
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

    /// Accepts files with layers and without fields that a NetParameter cannot have. The format has no magic number.
    fn sniff(&self, reader: &Reader, _head: &[u8]) -> bool {
        let mut cursor = reader.cursor(0, reader.length());
        let mut layers = 0;
        for _ in 0..1000 {
            match protobuf::next(&mut cursor) {
                Ok(Some((2 | 100, Field::Bytes(_)))) => layers += 1,
                // In ONNX, field 1 is a number, and strings are in other fields.
                Ok(Some((1 | 3 | 6 | 8 | 15_000 | 15_001, Field::Bytes(_)) | (4 | 5 | 7, Field::Varint(_)) | (4, _))) => {}
                Ok(Some(_)) => return false,
                Err(_) => return layers > 0,
                Ok(None) => break,
            }
        }
        layers > 0
    }

    /// Layers that do not form an AlexNet are reported later, when the graph is used.
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
        (!naming.is_own()).then_some("Caffe files use Caffe's layer names")
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
        return Err("a Caffe net without weights: a .prototxt message, or truncated".into());
    }
    // Files written by this program name their net.
    if let Some(text) = net.metadata.remove("about") {
        net.metadata =
            serde_json::from_str::<BTreeMap<String, String>>(&text).map_err(|e| format!("invalid alexnet metadata: {e}"))?;
        return Ok((net, None, Vec::new()));
    }
    Ok(match net::graph(&mut net) {
        Ok((graph, remarks)) => (net, graph.map(Ok), remarks),
        Err(why) => (net, Some(Err(why)), Vec::new()),
    })
}

/// The blob in a `mean.binaryproto`.
pub(super) fn mean_blob(reader: &Reader) -> ParseResult<Tensor> {
    proto::blob(reader.cursor(0, reader.length()), "mean")
}

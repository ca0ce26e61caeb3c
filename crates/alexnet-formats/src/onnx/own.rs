//! Detection of modified files: other programs change the graph of a file written by this program but keep its metadata.

use super::proto::{Attribute, Model, Node};
use super::write::nodes;
use alexnet_net::{Mean, Preprocess};
use alexnet_net::{Net, Op};

/// Describes the first difference between a model's graph and the net in its metadata.
pub(super) fn difference(model: &Model) -> Option<String> {
    // Invalid metadata is reported by its parser.
    let net: Net = serde_json::from_str(model.metadata.get("net")?).ok()?;
    // Checked before anything is built from the metadata.
    if net.layers.len() > 2 * model.nodes.len() {
        return Some(format!("it has {} nodes for {} layers", model.nodes.len(), net.layers.len()));
    }
    let columns = |op: &Op| if let Op::Lrn { columns, .. } = op { *columns } else { 0 };
    if net.layers.iter().any(|layer| columns(&layer.op) > model.nodes.len()) {
        return Some("its normalisation differs".into());
    }
    let preprocess = model.inputs.iter().any(|input| input.name == "picture").then(|| preprocess(model)).flatten();
    let written = match nodes(&net, preprocess.as_ref()) {
        Ok(written) => written,
        Err(error) => return Some(error.to_string()),
    };
    if let Some((node, written)) = model.nodes.iter().zip(&written).find(|(node, written)| !same(node, written)) {
        let (place, op) = (written.outputs.join(", "), &written.op);
        return Some(if node.op == *op {
            format!("{place} has different {op} attributes")
        } else {
            format!("{place} is {}, not {op}", node.op)
        });
    }
    let (actual, expected) = (model.nodes.len(), written.len());
    (actual != expected).then(|| format!("it has {actual} nodes, not {expected}"))
}

/// The preprocessing of the metadata; values do not matter.
fn preprocess(model: &Model) -> Option<Preprocess> {
    let preprocess: Preprocess = serde_json::from_str(model.metadata.get("preprocess")?).ok()?;
    Some(Preprocess { mean: Mean::Channel([0.0; 3]), ..preprocess })
}

fn same(node: &Node, written: &Node) -> bool {
    let equal = |a: &Attribute, b: &Attribute| a.name == b.name && a.int == b.int && a.float == b.float && a.ints == b.ints;
    let all = |some: &Node, others: &Node| {
        some.attributes.iter().all(|attribute| others.attributes.iter().any(|other| equal(attribute, other)))
    };
    node.op == written.op
        && node.inputs == written.inputs
        && node.outputs == written.outputs
        && all(node, written)
        && all(written, node)
}

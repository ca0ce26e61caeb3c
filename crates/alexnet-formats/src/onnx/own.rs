//! Whether a file of ours is still as it was written: other programs change graphs and leave the metadata as they are.

use super::proto::{Attribute, Model, Node};
use super::write::nodes;
use alexnet_net::{Mean, Preprocess};
use alexnet_net::{Net, Op};

/// The first difference between a model's graph and that of the net that its metadata name, in words.
pub(super) fn difference(model: &Model) -> Option<String> {
    // What cannot be understood is told by whoever reads the metadata.
    let net: Net = serde_json::from_str(model.metadata.get("net")?).ok()?;
    // Before anything is made of what the metadata say.
    if net.layers.len() > 2 * model.nodes.len() {
        return Some(format!("it has {} nodes for {} layers", model.nodes.len(), net.layers.len()));
    }
    let columns = |op: &Op| if let Op::Lrn { columns, .. } = op { *columns } else { 0 };
    if net.layers.iter().any(|layer| columns(&layer.op) > model.nodes.len()) {
        return Some("its normalisation is another".into());
    }
    let preprocess = model.inputs.iter().any(|input| input.name == "picture").then(|| preprocess(model)).flatten();
    let written = match nodes(&net, preprocess.as_ref()) {
        Ok(written) => written,
        Err(error) => return Some(error.to_string()),
    };
    if let Some((node, written)) = model.nodes.iter().zip(&written).find(|(node, written)| !same(node, written)) {
        let (place, op) = (written.outputs.join(", "), &written.op);
        return Some(if node.op == *op {
            format!("{place} is another {op}")
        } else {
            format!("{place} is {}, not {op}", node.op)
        });
    }
    let (here, there) = (model.nodes.len(), written.len());
    (here != there).then(|| format!("it has {here} nodes, not {there}"))
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

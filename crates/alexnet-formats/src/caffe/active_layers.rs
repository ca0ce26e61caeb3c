//! The Caffe layers that form the net: those on the path from the input to the logits, following each layer's `bottom` and `top`.
//!
//! Training files hold more: data, loss and accuracy layers, and sometimes an unused branch.

use super::super::reader::ParseResult;
use super::proto::Layer;
use std::collections::{HashMap, HashSet};

/// Layer types outside the path from image to logits: data sources and metrics.
const ASIDE: [&str; 15] = [
    "data",
    "input",
    "imagedata",
    "memorydata",
    "hdf5data",
    "dummydata",
    "windowdata",
    "images",
    "split",
    "silence",
    "accuracy",
    "softmax",
    "softmaxloss",
    "softmaxwithloss",
    "argmax",
];
/// The layer types in [`ASIDE`] that consume logits.
const ANSWERED: [&str; 3] = ["softmax", "softmaxloss", "softmaxwithloss"];

/// Orders the layers from the input to the logits. Dead branches are dropped with a remark.
///
/// # Errors
/// Several layers that could each be the head.
pub(super) fn follow<'a>(layers: &'a [Layer], remarks: &mut Vec<String>) -> ParseResult<Vec<&'a Layer>> {
    let parts: Vec<&Layer> = layers.iter().filter(|layer| !ASIDE.contains(&layer.kind.as_str())).collect();
    // Layers that name no inputs are connected in file order.
    if parts.iter().all(|layer| layer.bottoms.is_empty()) {
        return Ok(parts);
    }
    let tree = Tree::grow(layers);
    let mut heads: Vec<&Node<'_>> = tree.nodes.iter().filter(|node| !node.continued).collect();
    // With several heads, prefer the one that feeds a softmax, then the deepest one.
    if heads.iter().any(|head| head.answered) {
        heads.retain(|head| head.answered);
    } else {
        let deepest = heads.iter().map(|head| head.depth).max();
        heads.retain(|head| Some(head.depth) == deepest);
    }
    let head = match heads.as_slice() {
        [] => return Err("its layers are not connected".into()),
        [head] => *head,
        [first, second, ..] => {
            let (first, second) = (&first.layer.name, &second.layer.name);
            return Err(format!("its graph is not a chain: it has two heads, {first} and {second}; remove one before saving"));
        }
    };
    let mut path = Vec::new();
    let mut at = Some(head);
    while let Some(node) = at {
        path.push(node.layer);
        at = node.before.map(|before| &tree.nodes[before]);
    }
    path.reverse();
    let used: HashSet<*const Layer> = path.iter().map(|layer| std::ptr::from_ref(*layer)).collect();
    let aside = parts.iter().filter(|part| !used.contains(&std::ptr::from_ref(**part)));
    let aside: Vec<&str> = aside.map(|layer| layer.name.as_str()).collect();
    if !aside.is_empty() {
        let more = aside.len().saturating_sub(8);
        let shown = aside[..aside.len() - more].join(", ");
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        remarks.push(format!("not on the path to {}, ignored: {shown}{more}", head.layer.name));
    }
    Ok(path)
}

/// Layers linked to the layer whose output they read.
struct Tree<'a> {
    nodes: Vec<Node<'a>>,
}

struct Node<'a> {
    layer: &'a Layer,
    /// Index of the layer whose output this one reads; `None` for the first.
    before: Option<usize>,
    /// Number of layers with weights up to and including this one.
    depth: usize,
    /// Whether another layer reads its output.
    continued: bool,
    /// Whether a loss, metric or softmax reads its output.
    answered: bool,
}

impl<'a> Tree<'a> {
    /// Caffe runs layers in file order, so a blob name refers to the most recent layer that wrote it. This covers in-place
    /// layers.
    fn grow(layers: &'a [Layer]) -> Self {
        let mut nodes: Vec<Node<'_>> = Vec::new();
        let mut makers: HashMap<&str, usize> = HashMap::new();
        for layer in layers {
            let before = layer.bottoms.iter().find_map(|bottom| makers.get(bottom.as_str()).copied());
            if layer.kind == "split" {
                // A split layer copies its input to several names; Caffe inserts it where two layers read one blob.
                if let Some(before) = before {
                    makers.extend(layer.tops.iter().map(|top| (top.as_str(), before)));
                }
                continue;
            }
            if ASIDE.contains(&layer.kind.as_str()) {
                if let Some(before) = before.filter(|_| ANSWERED.contains(&layer.kind.as_str())) {
                    nodes[before].answered = true;
                }
                continue;
            }
            if let Some(before) = before {
                nodes[before].continued = true;
            }
            let depth = before.map_or(0, |before| nodes[before].depth) + usize::from(!layer.blobs.is_empty());
            makers.extend(layer.tops.iter().map(|top| (top.as_str(), nodes.len())));
            nodes.push(Node { layer, before, depth, continued: false, answered: false });
        }
        Tree { nodes }
    }
}

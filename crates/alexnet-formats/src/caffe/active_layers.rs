//! Which of Caffe's layers are the net: those between its input and its answers, along what each takes (`bottom`) and gives (`top`).
//!
//! Files of training hold more than that: data, losses, accuracies, and at times a branch that somebody tried.

use super::super::reader::ParseResult;
use super::proto::Layer;
use std::collections::{HashMap, HashSet};

/// Types that are no part of a net's way from image to answers: what feeds it, what measures it.
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
/// Of these, those that take answers.
const ANSWERED: [&str; 3] = ["softmax", "softmaxloss", "softmaxwithloss"];

/// The layers from the input to the answers, in order. What leads nowhere is left out with a remark.
///
/// # Errors
/// Several layers that each may be the answers.
pub(super) fn follow<'a>(layers: &'a [Layer], remarks: &mut Vec<String>) -> ParseResult<Vec<&'a Layer>> {
    let parts: Vec<&Layer> = layers.iter().filter(|layer| !ASIDE.contains(&layer.kind.as_str())).collect();
    // Layers that do not say what they take follow each other as they stand.
    if parts.iter().all(|layer| layer.bottoms.is_empty()) {
        return Ok(parts);
    }
    let tree = Tree::grow(layers);
    let mut heads: Vec<&Node<'_>> = tree.nodes.iter().filter(|node| !node.continued).collect();
    // Of several ends the one that a softmax takes, or else the deepest one, is the answers.
    if heads.iter().any(|head| head.answered) {
        heads.retain(|head| head.answered);
    } else {
        let deepest = heads.iter().map(|head| head.depth).max();
        heads.retain(|head| Some(head.depth) == deepest);
    }
    let head = match heads.as_slice() {
        [] => return Err("none of its layers follows another".into()),
        [head] => *head,
        [one, other, ..] => {
            let (one, other) = (&one.layer.name, &other.layer.name);
            return Err(format!("its graph is no chain: it has two heads, {one} and {other}; cut one off before it is saved"));
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
        remarks.push(format!("leaves the way to {} and is not used: {shown}{more}", head.layer.name));
    }
    Ok(path)
}

/// Layers, each after the one whose work it takes.
struct Tree<'a> {
    nodes: Vec<Node<'a>>,
}

struct Node<'a> {
    layer: &'a Layer,
    /// The layer whose work it takes; none for the first.
    before: Option<usize>,
    /// Layers with weights up to it.
    depth: usize,
    /// Whether another takes its work.
    continued: bool,
    /// Whether its work is taken for answers.
    answered: bool,
}

impl<'a> Tree<'a> {
    /// Caffe runs layers in the file's order, so that a name means what the last layer before gave under it: layers in place, too.
    fn grow(layers: &'a [Layer]) -> Self {
        let mut nodes: Vec<Node<'_>> = Vec::new();
        let mut makers: HashMap<&str, usize> = HashMap::new();
        for layer in layers {
            let before = layer.bottoms.iter().find_map(|bottom| makers.get(bottom.as_str()).copied());
            if layer.kind == "split" {
                // The same under several names, which Caffe itself puts in where two layers take it.
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

//! Conversion of an operator chain to a net.

use super::super::format::Graph;
use super::super::net_builder::NetBuilder;
use super::super::reader::{ParseResult, Reader};
use super::fold;
use super::input_normalization::InputNormalization;
use super::lrn_pattern;
use super::proto::{Model, Node};
use super::step::Walk;
use std::collections::{HashMap, HashSet};

/// Builds the net of a model's graph, with remarks. Folded constants are added to the model's tensors.
pub(super) fn net(model: &mut Model, reader: &Reader) -> ParseResult<(Graph, Vec<String>)> {
    fold::constants(model, reader)?;
    let input = model.inputs.iter().find(|input| model.find(&input.name).is_none()).ok_or("the graph has no input")?;
    let mut remarks = Vec::new();
    let channels_last = matches!(input.dimensions.as_slice(), [_, rows, _, 3] if *rows != 3) && input.floating();
    let fixed_size = match input.dimensions.as_slice() {
        &[_, 3, rows, columns] if rows == columns && rows > 0 => Some(rows as usize),
        &[_, rows, columns, 3] if channels_last && rows == columns => Some(rows as usize).filter(|size| *size > 0),
        [_, 3 | 0, ..] => None,
        other => return Err(format!("its input {} has shape {other:?}; AlexNet takes [n, 3, size, size]", input.name)),
    };
    let mut value = input.name.clone();
    let output = output(model, &mut remarks);
    let nodes = reachable(model);
    let users = users(&nodes);
    let mut walk = Walk::new(NetBuilder::new(fixed_size), channels_last, model, reader, &mut remarks);
    let mut normalization = InputNormalization::new();
    // Visits each node at most once, so a cycle cannot loop forever.
    for _ in 0..=nodes.len() {
        if output.as_ref() == Some(&value) {
            break;
        }
        let users = users.get(value.as_str()).map_or(&[][..], Vec::as_slice);
        let node = match users {
            [] => break,
            [node] => &nodes[*node],
            [first, second, ..] => {
                let Some((norm, end)) = lrn_pattern::of(&nodes, &value, walk.model, reader) else {
                    let (first, second) = (&nodes[*first].op, &nodes[*second].op);
                    return Err(format!("its graph is not a chain: {value} feeds both {first} and {second}"));
                };
                walk.norm(norm)?;
                value = end;
                continue;
            }
        };
        if node.inputs.first() != Some(&value) && !matches!(node.op.as_str(), "Add" | "Mul") {
            return Err(format!("its operator {} takes {value} at an unsupported input position", node.op));
        }
        if walk.builder.is_empty() && !walk.is_padded() && matches!(node.op.as_str(), "Add" | "Sub" | "Mul" | "Div") {
            normalization.step(node, &value, walk.channels_last, walk.model, reader)?;
        } else {
            walk.step(node, &value)?;
        }
        value = node.outputs.first().cloned().unwrap_or_default();
    }
    let mut builder = walk.end()?;
    if let Some(output) = output.filter(|output| *output != value) {
        return Err(format!("its chain of operators ends at {value}, not at its output {output}"));
    }
    let size = fixed_size.unwrap_or_else(|| {
        let size = builder.fit(|weight| model.tensors[weight].count()).unwrap_or(224);
        remarks.push(format!("its input size is dynamic; assuming {size} pixels (override with `convert --image-size`)"));
        size
    });
    let mut graph = builder.finish("onnx")?;
    if let Some((preprocess, guessed)) = normalization.finish(size) {
        preprocess.check()?;
        remarks.push(guessed);
        graph.preprocess = Some(preprocess);
    }
    Ok((graph, remarks))
}

/// Maps each value to the nodes that read it. Shape nodes do not count: they only serve to flatten maps.
fn users(nodes: &[Node]) -> HashMap<&str, Vec<usize>> {
    let mut users: HashMap<&str, Vec<usize>> = HashMap::new();
    for (i, node) in nodes.iter().enumerate().filter(|(_, node)| node.op != "Shape") {
        for input in &node.inputs {
            let users = users.entry(input).or_default();
            if users.last() != Some(&i) {
                users.push(i);
            }
        }
    }
    users
}

/// The logits: the first output that may hold floats.
fn output(model: &Model, remarks: &mut Vec<String>) -> Option<String> {
    let mut outputs = model.outputs.iter().filter(|output| output.floating());
    let first = outputs.next()?;
    let others: Vec<&str> = outputs.map(|output| output.name.as_str()).collect();
    if !others.is_empty() {
        remarks.push(format!("using its output {} as logits; other outputs: {}", first.name, others.join(", ")));
    }
    Some(first.name.clone())
}

/// Moves out of the model the nodes that an output depends on. Dead branches are dropped.
fn reachable(model: &mut Model) -> Vec<Node> {
    let nodes = std::mem::take(&mut model.nodes);
    if model.outputs.is_empty() {
        return nodes;
    }
    let mut names: HashSet<&str> = model.outputs.iter().map(|output| output.name.as_str()).collect();
    // Nodes are in topological order.
    let mut keep = vec![false; nodes.len()];
    for (node, keep) in nodes.iter().zip(&mut keep).rev() {
        *keep = node.outputs.iter().any(|output| names.contains(output.as_str()));
        if *keep {
            names.extend(node.inputs.iter().map(String::as_str));
        }
    }
    nodes.into_iter().zip(keep).filter_map(|(node, keep)| keep.then_some(node)).collect()
}

#[cfg(test)]
pub(super) mod tests;

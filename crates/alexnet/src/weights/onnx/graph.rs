//! From a chain of operators to a net.

use super::super::chain::Chain;
use super::super::contents::{Dtype, Graph, Stored, Tensor};
use super::super::source::{Source, Told};
use super::front::Front;
use super::norm;
use super::proto::{Model, Node};
use crate::net::{Activation, Op, Pad, Rounding};
use std::collections::HashSet;

/// The net that a model's graph is, and remarks. Constants that nodes make are added to its tensors.
pub(super) fn net(model: &mut Model, source: &Source) -> Told<(Graph, Vec<String>)> {
    constants(model)?;
    let is_constant = |name: &str| model.tensors.iter().any(|tensor| tensor.name == name);
    let input = model.inputs.iter().find(|input| !is_constant(&input.name)).ok_or("a graph without an input")?;
    let mut remarks = Vec::new();
    let told = match input.dimensions.as_slice() {
        &[_, 3, rows, columns] if rows == columns && rows > 0 => Some(rows as usize),
        [_, 3 | 0, ..] => None,
        other => return Err(format!("its input {} is {other:?}; an AlexNet takes [n, 3, size, size]", input.name)),
    };
    let mut value = input.name.clone();
    let output = output(model, &mut remarks);
    let (mut chain, mut front) = (Chain::new(told.unwrap_or(224)), Front::new());
    let nodes = wanted(model);
    // Every node once at most, so that no circle is walked for ever.
    for _ in 0..=nodes.len() {
        if output.as_ref() == Some(&value) {
            break;
        }
        // Who asks for the shape alone wants it to flatten maps.
        let users: Vec<&Node> = nodes.iter().filter(|node| node.inputs.contains(&value) && node.op != "Shape").collect();
        let node = match users.as_slice() {
            [] => break,
            [node] => *node,
            [one, other, ..] => {
                let Some((norm, end)) = norm::of(&nodes, &value, model, source) else {
                    return Err(format!("its graph is no chain: {value} goes into {} and {}", one.op, other.op));
                };
                chain.push("norm", norm);
                value = end;
                continue;
            }
        };
        if node.inputs.first() != Some(&value) && !matches!(node.op.as_str(), "Add" | "Mul") {
            return Err(format!("its operator {} takes {value} in an unusual place", node.op));
        }
        if chain.is_empty() && matches!(node.op.as_str(), "Add" | "Sub" | "Mul" | "Div") {
            front.step(node, &value, model, source)?;
        } else {
            step(node, &value, model, source, &mut chain, &mut remarks)?;
        }
        value = node.outputs.first().cloned().unwrap_or_default();
    }
    if let Some(output) = output.filter(|output| *output != value) {
        return Err(format!("its chain of operators ends at {value}, not at its output {output}"));
    }
    let size = told.unwrap_or_else(|| {
        let size = chain.fit(|weight| model.tensors[weight].len()).unwrap_or(224);
        remarks.push(format!("its input's size is open; {size} pixels are taken (`convert --image-size` says otherwise)"));
        size
    });
    let mut graph = chain.finish("onnx")?;
    if let Some((preprocess, guessed)) = front.finish(size) {
        preprocess.check()?;
        remarks.push(guessed);
        graph.preprocess = Some(preprocess);
    }
    Ok((graph, remarks))
}

/// The output that is the answers: the first that may hold floats.
fn output(model: &Model, remarks: &mut Vec<String>) -> Option<String> {
    let mut outputs = model.outputs.iter().filter(|output| output.floating());
    let first = outputs.next()?;
    let others: Vec<&str> = outputs.map(|output| output.name.as_str()).collect();
    if !others.is_empty() {
        remarks.push(format!("its output {} is taken for its answers; it has others: {}", first.name, others.join(", ")));
    }
    Some(first.name.clone())
}

/// The nodes whose work an output takes, out of the model: what leads nowhere is no branch.
fn wanted(model: &mut Model) -> Vec<Node> {
    let nodes = std::mem::take(&mut model.nodes);
    if model.outputs.is_empty() {
        return nodes;
    }
    let mut names: HashSet<&str> = model.outputs.iter().map(|output| output.name.as_str()).collect();
    // Nodes stand after those whose work they take.
    let mut keep = vec![false; nodes.len()];
    for (node, keep) in nodes.iter().zip(&mut keep).rev() {
        *keep = node.outputs.iter().any(|output| names.contains(output.as_str()));
        if *keep {
            names.extend(node.inputs.iter().map(String::as_str));
        }
    }
    nodes.into_iter().zip(keep).filter_map(|(node, keep)| keep.then_some(node)).collect()
}

/// Adds what Constant and ConstantOfShape nodes make to the tensors. What cannot be told, such as a shape out of a shape, is missed
/// where it is wanted.
fn constants(model: &mut Model) -> Told<()> {
    for node in &model.nodes {
        let Some(name) = node.outputs.first().cloned() else { continue };
        match node.op.as_str() {
            "Constant" => {
                let Some((tensor, ints)) = node.tensor("value") else { continue };
                if !ints.is_empty() {
                    model.ints.insert(name.clone(), ints.clone());
                }
                model.tensors.push(Tensor { name, ..tensor.clone() });
            }
            "ConstantOfShape" => {
                let Some(dimensions) = node.inputs.first().and_then(|input| model.ints.get(input)) else { continue };
                let shape = dimensions.iter().map(|&n| usize::try_from(n).map_err(|_| format!("{name} has a dimension {n}")));
                let shape = shape.collect::<Told<Vec<_>>>()?;
                let value = match node.tensor("value").map(|(tensor, _)| &tensor.stored) {
                    Some(Stored::Here(values)) => values.first().copied().unwrap_or_default(),
                    // Whole numbers: no weights.
                    Some(_) => continue,
                    None => 0.0,
                };
                model.tensors.push(Tensor { name, shape, dtype: Dtype::F32, stored: Stored::Same(value) });
            }
            _ => {}
        }
    }
    Ok(())
}

fn step(node: &Node, value: &str, model: &mut Model, source: &Source, chain: &mut Chain, remarks: &mut Vec<String>) -> Told<()> {
    let constant = |model: &Model, at: usize| -> Told<Option<usize>> {
        let Some(name) = node.inputs.get(at).filter(|name| !name.is_empty()) else { return Ok(None) };
        let found = model.tensors.iter().position(|tensor| tensor.name == *name);
        found.map(Some).ok_or_else(|| format!("its {} takes {name}, which is no constant", node.op))
    };
    let needed = |found: Option<usize>| found.ok_or_else(|| format!("its {} has no weights", node.op));
    match node.op.as_str() {
        "Conv" => {
            let weight = needed(constant(model, 1)?)?;
            let bias = match constant(model, 2)? {
                Some(bias) => bias,
                None => zeros(model, weight, 0),
            };
            let (kernel, stride, pad) = window(node, &model.tensors[weight].shape)?;
            let out = model.tensors[weight].shape.first().copied().unwrap_or_default();
            chain.conv(out, kernel, stride, pad, count(node.int("group", 1))?, Rounding::Floor, (weight, bias));
        }
        "Relu" => chain.activation(Activation::Relu),
        "Tanh" => chain.activation(Activation::Tanh),
        "Sigmoid" => chain.activation(Activation::Sigmoid),
        "LRN" => chain.push(
            "norm",
            Op::Lrn {
                n: count(node.int("size", 0))?,
                alpha: node.float("alpha", 1e-4),
                beta: node.float("beta", 0.75),
                k: node.float("bias", 1.0),
                divide_by_n: true,
                columns: 1,
            },
        ),
        "MaxPool" | "AveragePool" => {
            let (kernel, stride, pad) = window(node, &[])?;
            let rounding = if node.int("ceil_mode", 0) == 1 { Rounding::Ceil } else { Rounding::Floor };
            if node.op == "MaxPool" {
                chain.push("pool", Op::MaxPool { kernel, stride, pad, rounding });
            } else if pad == Pad::default() || node.int("count_include_pad", 0) == 1 {
                chain.push("pool", Op::AvgPool { kernel, stride, pad, rounding });
            } else {
                return Err("its AveragePool leaves out its padding, which is not known here".into());
            }
        }
        "GlobalAveragePool" => chain.push("pool", Op::AdaptiveAvgPool { out: 1 }),
        "Flatten" | "Reshape" | "Squeeze" => {}
        "Dropout" => chain.dropout(node.float("ratio", 0.5)),
        "Identity" | "Cast" => {}
        "Softmax" | "LogSoftmax" => remarks.push(format!("ends in a {}; this program takes the logits before it", node.op)),
        "Gemm" => {
            if node.float("alpha", 1.0) != 1.0 || node.float("beta", 1.0) != 1.0 || node.int("transA", 0) != 0 {
                return Err("its Gemm scales or exchanges what it takes, which is not known here".into());
            }
            let weight = needed(constant(model, 1)?)?;
            let in_out = node.int("transB", 0) == 0;
            let bias = match constant(model, 2)? {
                Some(bias) => bias,
                None => zeros(model, weight, usize::from(in_out)),
            };
            chain.linear(outputs(model, weight, in_out)?, in_out, (weight, bias));
        }
        "MatMul" => {
            let weight = needed(constant(model, 1)?)?;
            let bias = zeros(model, weight, 1);
            chain.linear(outputs(model, weight, true)?, true, (weight, bias));
        }
        "Add" => {
            let other = usize::from(node.inputs.first().is_some_and(|name| name == value));
            bias(needed(constant(model, other)?)?, model, source, chain)?;
        }
        // What tools make of a graph to run it faster, or in fewer bits.
        other if other.starts_with("Fused") || other.starts_with("Nhwc") => {
            return Err(format!("its graph has {other}, which ONNX Runtime puts in: export it again without its optimisations"));
        }
        other
            if ["QLinear", "Quantize", "Dequantize", "DynamicQuantize"].iter().any(|begin| other.starts_with(begin))
                || other.ends_with("Integer") =>
        {
            return Err(format!("its graph is quantised ({other}): export it again without quantisation"));
        }
        other => return Err(format!("its graph has the operator {other}, which no AlexNet has")),
    }
    Ok(())
}

/// Longest bias that is believed; AlexNet's has 4,096 numbers.
const LONGEST_BIAS: usize = 1 << 20;

/// A bias that is added by an operator of its own, [channels, 1, 1] to maps or [outputs] to features, with any number of ones
/// before.
fn bias(tensor: usize, model: &mut Model, source: &Source, chain: &mut Chain) -> Told<()> {
    let no_bias = || "its graph adds something that is no bias".to_string();
    let (bias, out, maps) = chain.bias().ok_or_else(no_bias)?;
    let shape = &model.tensors[tensor].shape;
    let ones = shape.len().checked_sub(if maps { 3 } else { 1 }).ok_or_else(no_bias)?;
    let wanted: &[usize] = if maps { &[out, 1, 1] } else { &[out] };
    // What a graph makes out of nothing could be of any length.
    if out > LONGEST_BIAS {
        return Err(format!("its graph adds {out} numbers as a bias"));
    }
    if shape[..ones].iter().any(|n| *n != 1) || shape[ones..] != *wanted {
        return Err(no_bias());
    }
    model.tensors[tensor].shape = vec![out];
    if !matches!(model.tensors[*bias].stored, Stored::Same(0.0)) {
        // The layer has one already.
        let before = model.tensors[*bias].values(source)?;
        let more = model.tensors[tensor].values(source)?;
        let sum = before.iter().zip(&more).map(|(a, b)| a + b).collect();
        let name = format!("{} + {}", model.tensors[*bias].name, model.tensors[tensor].name);
        model.tensors.push(Tensor { name, shape: vec![out], dtype: Dtype::F32, stored: Stored::Here(sum) });
        *bias = model.tensors.len() - 1;
    } else {
        *bias = tensor;
    }
    Ok(())
}

fn outputs(model: &Model, weight: usize, in_out: bool) -> Told<usize> {
    match model.tensors[weight].shape.as_slice() {
        &[rows, columns] => Ok(if in_out { columns } else { rows }),
        other => Err(format!("{} is {other:?}, not a matrix", model.tensors[weight].name)),
    }
}

/// A bias of zeros for a layer that has none.
fn zeros(model: &mut Model, weight: usize, axis: usize) -> usize {
    let tensor = &model.tensors[weight];
    let shape = vec![tensor.shape.get(axis).copied().unwrap_or_default()];
    let name = format!("{} (no bias)", tensor.name);
    model.tensors.push(Tensor { name, shape, dtype: Dtype::F32, stored: Stored::Same(0.0) });
    model.tensors.len() - 1
}

fn count(number: i64) -> Told<usize> {
    usize::try_from(number).map_err(|_| format!("{number} where a count belongs"))
}

/// Kernel, stride and padding of a square window; the kernel is told by an attribute or by the weights.
fn window(node: &Node, weight: &[usize]) -> Told<(usize, usize, Pad)> {
    let odd = |what: &str| format!("its {} has {what}, which is not known here", node.op);
    let square = |name: &str, otherwise: i64| match node.ints(name) {
        [] => count(otherwise),
        &[rows, columns] if rows == columns => count(rows),
        _ => Err(odd("an oblong window")),
    };
    let kernel = square("kernel_shape", weight.get(2).map_or(0, |&n| n as i64))?;
    if square("dilations", 1)? != 1 {
        return Err(odd("dilation"));
    }
    let pad = match (node.text("auto_pad"), node.ints("pads")) {
        ("" | "NOTSET" | "VALID", []) => Pad::default(),
        ("" | "NOTSET", &[top, left, bottom, right]) => {
            Pad { top: count(top)?, left: count(left)?, bottom: count(bottom)?, right: count(right)? }
        }
        _ => return Err(odd("padding by `auto_pad`")),
    };
    Ok((kernel, square("strides", 1)?, pad))
}

//! From a chain of operators to a net.

use super::super::chain::Chain;
use super::super::contents::{Dtype, Graph, Stored, Tensor};
use super::super::source::Told;
use super::proto::{Model, Node};
use crate::net::{Activation, Op, Pad, Rounding};

/// The net that a model's graph is, and remarks. Constants that nodes make are added to its tensors.
pub(super) fn net(model: &mut Model) -> Told<(Graph, Vec<String>)> {
    constants(model)?;
    let is_constant = |name: &str| model.tensors.iter().any(|tensor| tensor.name == name);
    let mut inputs = model.inputs.iter().filter(|(name, _)| !is_constant(name));
    let (input, dimensions) = inputs.next().ok_or("a graph without an input")?.clone();
    let mut remarks = Vec::new();
    let size = match dimensions.as_slice() {
        &[_, 3, rows, columns] if rows == columns && rows > 0 => rows as usize,
        [_, 3 | 0, ..] => {
            remarks.push("its input's size is open; 224 pixels are taken".to_string());
            224
        }
        other => return Err(format!("its input {input} is {other:?}; an AlexNet takes [n, 3, size, size]")),
    };
    let mut chain = Chain::new(size);
    let nodes = std::mem::take(&mut model.nodes);
    let mut value = input;
    let mut flat = false;
    loop {
        let mut users = nodes.iter().filter(|node| node.inputs.contains(&value));
        let Some(node) = users.next() else { break };
        if let Some(other) = users.next() {
            return Err(format!("its graph is no chain: {value} goes into {} and {}", node.op, other.op));
        }
        if node.inputs.first() != Some(&value) && node.op != "Add" {
            return Err(format!("its operator {} takes {value} in an unusual place", node.op));
        }
        step(node, &value, model, &mut chain, &mut flat, &mut remarks)?;
        value = node.outputs.first().cloned().unwrap_or_default();
        if chain.len() > 200 {
            return Err("its chain of operators does not end".into());
        }
    }
    Ok((chain.finish("onnx")?, remarks))
}

/// Adds what Constant and ConstantOfShape nodes make to the tensors.
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
                let dimensions = node.inputs.first().and_then(|input| model.ints.get(input));
                let dimensions = dimensions.ok_or_else(|| format!("the shape of {name} is not known"))?;
                let shape = dimensions.iter().map(|&n| usize::try_from(n).map_err(|_| format!("{name} has a dimension {n}")));
                let shape = shape.collect::<Told<Vec<_>>>()?;
                let value = match node.tensor("value").map(|(tensor, _)| &tensor.stored) {
                    Some(Stored::Here(values)) => values.first().copied().unwrap_or_default(),
                    Some(_) => return Err(format!("the value of {name} is of a kind not known here")),
                    None => 0.0,
                };
                model.tensors.push(Tensor { name, shape, dtype: Dtype::F32, stored: Stored::Same(value) });
            }
            _ => {}
        }
    }
    Ok(())
}

fn step(node: &Node, value: &str, model: &mut Model, chain: &mut Chain, flat: &mut bool, remarks: &mut Vec<String>) -> Told<()> {
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
        "Flatten" | "Reshape" | "Squeeze" => *flat = true,
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
            chain.bias(needed(constant(model, other)?)?)?;
        }
        other => return Err(format!("its graph has the operator {other}, which no AlexNet has")),
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

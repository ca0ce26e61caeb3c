//! Recognition of response normalisation decomposed into basic operators: squares, their mean over a window, scaled by `alpha`
//! plus `k`, raised to `beta`, as the divisor of the maps. Follows `torch.nn.functional.local_response_norm` and the output of
//! both PyTorch exporters.

use super::super::reader::Reader;
use super::proto::{Model, Node};
use alexnet_net::Op;

/// Operators that only change the shape on the way to the pool over channels and back. (The older exporter uses an `If` to decide
/// whether to squeeze an axis that it added; its first inputs lead back to the pool.)
const SHAPES: [&str; 9] = ["Reshape", "Unsqueeze", "Squeeze", "Flatten", "Pad", "If", "Equal", "Gather", "Shape"];

/// Matches the normalisation of the maps `value`, and returns its output name.
pub(super) fn of(nodes: &[Node], value: &str, model: &Model, reader: &Reader) -> Option<(Op, String)> {
    let maker = |name: &str| nodes.iter().find(|node| node.outputs.first().is_some_and(|output| output == name));
    let is = |name: &str, op: &str| maker(name).filter(|node| node.op == op && node.inputs.len() == 2);
    let number = |name: &String| {
        let tensor = model.find(name).map(|found| &model.tensors[found]).filter(|tensor| tensor.count() == Some(1))?;
        tensor.values(reader).ok()?.first().copied()
    };
    // The non-constant operand of a sum or product with a constant.
    let with_number = |node: &Node| match (number(&node.inputs[0]), number(&node.inputs[1])) {
        (None, Some(number)) => Some((node.inputs[0].clone(), number)),
        (Some(number), None) => Some((node.inputs[1].clone(), number)),
        _ => None,
    };
    let divided = nodes.iter().find(|node| node.op == "Div" && node.inputs.len() == 2 && node.inputs[0] == value)?;
    let power = is(&divided.inputs[1], "Pow")?;
    let beta = number(&power.inputs[1])?;
    let (sum, k) = with_number(is(&power.inputs[0], "Add")?)?;
    let (mean, alpha) = with_number(is(&sum, "Mul")?)?;
    let (pool, _) = back(&maker, maker(&mean)?, "AveragePool")?;
    let (squares, between) = back(&maker, maker(pool.inputs.first()?)?, "Mul")?;
    if squares.inputs.len() != 2 || squares.inputs.iter().any(|input| input != value) {
        return None;
    }
    let out = divided.outputs.first()?.clone();
    let (n, half) = match *pool.ints("kernel_shape") {
        [n, 1, 1] if n > 1 => (n, n / 2),
        [n, m] if n == m && n > 1 && between.is_empty() => (n, n / 2),
        _ => return None,
    };
    // An even window is asymmetric, and implementations differ in which way.
    if n % 2 == 0 || pool.ints("strides").iter().any(|&stride| stride != 1) || !matches!(pool.text("auto_pad"), "" | "NOTSET") {
        return None;
    }
    let n = usize::try_from(n).ok()?;
    let whole = |pads: &[i64]| pads.iter().filter(|pad| **pad != 0).all(|pad| *pad == half);
    let some = |pads: &[i64]| pads.iter().filter(|pad| **pad != 0).count();
    let counted = pool.int("count_include_pad", 0) == 1;
    let pads = pool.ints("pads");
    if pool.ints("kernel_shape").len() == 2 {
        return (counted && some(pads) == 4 && whole(pads)).then_some((Op::SpatialNorm { n, alpha, beta, k }, out));
    }
    // The channels are a separate axis before the rows: [n, 1, channels, rows, columns].
    let known = |node: &Node| node.inputs.get(1).and_then(|name| model.ints.get(name));
    let sound = between.iter().all(|node| match node.op.as_str() {
        "Reshape" => known(node).is_none_or(|shape| shape.len() == 5 && shape[1] == 1),
        // The older exporter computes this list in the graph.
        "Pad" => known(node).is_none_or(|pads| some(pads) == 2 && whole(pads) && pads.get(2) == Some(&half)),
        _ => true,
    });
    let padded = between.iter().filter(|node| node.op == "Pad").count();
    let padded = match (padded, some(pads)) {
        (1, 0) => true,
        (0, 2) => counted && whole(pads) && pads[0] == half,
        _ => false,
    };
    (sound && padded).then_some((Op::Lrn { n, alpha, beta, k, divide_by_n: true, columns: 1 }, out))
}

/// Walks back from a node through shape operators to the first `op`, and returns both.
fn back<'n>(maker: &impl Fn(&str) -> Option<&'n Node>, from: &'n Node, op: &str) -> Option<(&'n Node, Vec<&'n Node>)> {
    let (mut at, mut between) = (from, Vec::new());
    while at.op != op {
        if !SHAPES.contains(&at.op.as_str()) || between.len() == SHAPES.len() {
            return None;
        }
        between.push(at);
        at = maker(at.inputs.first()?)?;
    }
    Some((at, between))
}

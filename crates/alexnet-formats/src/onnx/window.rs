//! Windows of convolutions and pools.

use super::super::reader::ParseResult;
use super::proto::Node;
use alexnet_net::{Pad, Shape};

/// Converts a count from the file.
pub(super) fn count(number: i64) -> ParseResult<usize> {
    usize::try_from(number).map_err(|_| format!("expected a count, got {number}"))
}

/// Kernel, stride and padding of a square window. The kernel size comes from an attribute or the weights. `before` is the pending
/// padding around the maps of `input`, whose size may be unknown.
pub(super) fn window(node: &Node, weight: &[usize], input: Option<Shape>, before: Pad) -> ParseResult<(usize, usize, Pad)> {
    let odd = |what: &str| format!("its {} has {what}, which is not supported", node.op);
    let square = |name: &str, otherwise: i64| match node.ints(name) {
        [] => count(otherwise),
        &[rows, columns] if rows == columns => count(rows),
        _ => Err(odd("a non-square window")),
    };
    let kernel = square("kernel_shape", weight.get(2).map_or(0, |&n| n as i64))?;
    if square("dilations", 1)? != 1 {
        return Err(odd("dilation"));
    }
    let stride = square("strides", 1)?;
    let pad = match (node.text("auto_pad"), node.ints("pads")) {
        ("VALID", _) | ("" | "NOTSET", []) => Pad::default(),
        ("" | "NOTSET", &[top, left, bottom, right]) => {
            Pad { top: count(top)?, left: count(left)?, bottom: count(bottom)?, right: count(right)? }
        }
        (auto @ ("SAME_UPPER" | "SAME_LOWER"), _) => {
            let along = |before: usize, after: usize| -> ParseResult<(usize, usize)> {
                let size = input.map(|shape| shape.size.saturating_add(before).saturating_add(after));
                let all = same(size, kernel, stride).ok_or_else(|| {
                    odd(&format!("`{auto}` padding, but the input size is dynamic; export it again with a fixed image size"))
                })?;
                Ok(if auto == "SAME_UPPER" { (all / 2, all - all / 2) } else { (all - all / 2, all / 2) })
            };
            let ((top, bottom), (left, right)) = (along(before.top, before.bottom)?, along(before.left, before.right)?);
            Pad { top, left, bottom, right }
        }
        (auto, _) => return Err(odd(&format!("`{auto}` padding"))),
    };
    let sum = |a: usize, b: usize| a.checked_add(b).ok_or_else(|| odd("padding that overflows"));
    let pad = Pad {
        top: sum(before.top, pad.top)?,
        left: sum(before.left, pad.left)?,
        bottom: sum(before.bottom, pad.bottom)?,
        right: sum(before.right, pad.right)?,
    };
    Ok((kernel, stride, pad))
}

/// Padding along an axis that gives one window per `stride` pixels.
fn same(size: Option<usize>, kernel: usize, stride: usize) -> Option<usize> {
    match (size, stride) {
        (_, 0) => Some(0),
        (_, 1) => Some(kernel.saturating_sub(1)),
        (Some(size), _) => {
            let windows = size.div_ceil(stride);
            Some((windows.saturating_sub(1).saturating_mul(stride).saturating_add(kernel)).saturating_sub(size))
        }
        (None, _) => None,
    }
}

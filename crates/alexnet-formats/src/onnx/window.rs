//! The windows of convolutions and pools.

use super::super::reader::ParseResult;
use super::proto::Node;
use alexnet_net::{Pad, Shape};

/// A count that a file tells.
pub(super) fn count(number: i64) -> ParseResult<usize> {
    usize::try_from(number).map_err(|_| format!("{number} where a count belongs"))
}

/// Kernel, stride and padding of a square window; the kernel is told by an attribute or by the weights. `before` is what a Pad has
/// put around the maps of `input`, whose size may be open.
pub(super) fn window(node: &Node, weight: &[usize], input: Option<Shape>, before: Pad) -> ParseResult<(usize, usize, Pad)> {
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
                    odd(&format!("padding by `{auto}` of maps whose size is open; export it again for one size of images"))
                })?;
                Ok(if auto == "SAME_UPPER" { (all / 2, all - all / 2) } else { (all - all / 2, all / 2) })
            };
            let ((top, bottom), (left, right)) = (along(before.top, before.bottom)?, along(before.left, before.right)?);
            Pad { top, left, bottom, right }
        }
        (auto, _) => return Err(odd(&format!("padding by `{auto}`"))),
    };
    let sum = |a: usize, b: usize| a.checked_add(b).ok_or_else(|| odd("padding beyond counting"));
    let pad = Pad {
        top: sum(before.top, pad.top)?,
        left: sum(before.left, pad.left)?,
        bottom: sum(before.bottom, pad.bottom)?,
        right: sum(before.right, pad.right)?,
    };
    Ok((kernel, stride, pad))
}

/// Pixels added along an axis so that there is a window for every `stride` of its pixels.
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

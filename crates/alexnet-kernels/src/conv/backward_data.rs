//! Convolution gradient with respect to the input.

use super::direct::Finish;
use super::{Shape, convolve};
use crate::buffer::with_scratch;
use crate::context::Context;
use crate::executor::for_each_chunk;
use crate::feature_map::{FeatureMap, Sides};
use crate::weight_layout::{Filters, PANEL};

/// dx = the gradient of the loss with respect to the input, from `dy`, that with respect to the output.
///
/// With a `mask`, dx is zero where the mask's value is not positive: pass the input itself if it is the output of a ReLU, and dx
/// is the gradient before that ReLU. `dx_map` has the input's sizes and any border, which is filled with zeros.
///
/// At stride 1 `dy` is read in place if its border is at least [`Shape::gradient_border`] wide (filled with zeros).
///
/// # Panics
/// When the shape is unsound, or a slice is too short for it.
#[allow(clippy::too_many_arguments)]
pub fn backward_data(
    context: &Context<'_>,
    shape: &Shape,
    dy_map: FeatureMap,
    dy: &[f32],
    w: &[f32],
    mask: Option<(FeatureMap, &[f32])>,
    dx_map: FeatureMap,
    dx: &mut [f32],
) {
    shape.check(shape.x.len(), w.len(), &dy_map, dy.len());
    let sizes = |map: FeatureMap| (map.n, map.h, map.w, map.c);
    assert_eq!(sizes(dx_map), sizes(shape.x), "input gradient of {shape:?}");
    assert!(dx.len() >= dx_map.len(), "dx has {} floats, the map {}", dx.len(), dx_map.len());
    if let Some((map, values)) = mask {
        assert!(sizes(map) == sizes(shape.x) && values.len() >= map.len(), "mask of {shape:?}");
    }
    // The input gradient is itself a convolution: of dy, dilated by the stride, with the rotated kernels.
    let needed = Sides {
        top: shape.r - 1 - shape.pad.top,
        left: shape.s - 1 - shape.pad.left,
        bottom: (shape.x.h + shape.pad.top).saturating_sub((shape.p - 1) * shape.stride + 1),
        right: (shape.x.w + shape.pad.left).saturating_sub((shape.q - 1) * shape.stride + 1),
    };
    let spread = FeatureMap {
        h: (shape.p - 1) * shape.stride + 1,
        w: (shape.q - 1) * shape.stride + 1,
        border: if shape.stride == 1 && super::holds(dy_map.border, needed) { dy_map.border } else { needed },
        ..dy_map
    };
    let filters = shape.filters();
    let turned = Filters { k: shape.x.c, c: shape.k / shape.groups, ..filters };
    let over = Shape {
        x: spread,
        k: shape.x.c,
        stride: 1,
        pad: Sides { top: needed.top, left: needed.left, bottom: 0, right: 0 },
        p: shape.x.h,
        q: shape.x.w,
        ..*shape
    };
    let finish = Finish { bias: None, floor: f32::NEG_INFINITY, mask };
    with_scratch(turned.packed_len(), |turned_w| {
        turn(context, filters, turned, w, turned_w);
        if spread == dy_map {
            return convolve(context, &over, dy, turned_w, &finish, dx_map, dx);
        }
        with_scratch(spread.len(), |copy| {
            for_each_chunk(context.threads, copy, spread.image_stride(), |n, image| {
                image.fill(0.0);
                for p in 0..shape.p {
                    for q in 0..shape.q {
                        let (from, to) = (dy_map.at(n, p, q), spread.at(0, p * shape.stride, q * shape.stride));
                        image[to..to + spread.c].copy_from_slice(&dy[from..from + spread.c]);
                    }
                }
            });
            convolve(context, &over, copy, turned_w, &finish, dx_map, dx);
        });
    });
}

/// Rotates weights from [panel of outputs][r][s][c] to [panel of inputs][R - 1 - r][S - 1 - s][k], group by group.
fn turn(context: &Context<'_>, from: Filters, to: Filters, w: &[f32], turned: &mut [f32]) {
    let panel_len = to.depth() * PANEL;
    let (inputs, outputs) = (to.group_outputs(), from.group_outputs());
    for_each_chunk(context.threads, turned, panel_len, |panel, part| {
        let (group, first) = (panel / to.panels(), panel % to.panels() * PANEL);
        let lanes = (inputs - first).min(PANEL);
        for r in 0..to.r {
            for s in 0..to.s {
                let block = &mut part[(r * to.s + s) * outputs * PANEL..][..outputs * PANEL];
                for (k, line) in block.chunks_exact_mut(PANEL).enumerate() {
                    let at = from.packed_index(group * outputs + k, first, from.r - 1 - r, from.s - 1 - s);
                    line[lanes..].fill(0.0);
                    for (lane, value) in line[..lanes].iter_mut().enumerate() {
                        *value = w[at + lane * PANEL];
                    }
                }
            }
        }
    });
}

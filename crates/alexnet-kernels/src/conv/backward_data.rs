//! The gradient with respect to the input.

use super::{Shape, reference};
use crate::context::Context;
use crate::map::Map;

/// dx = the gradient of the loss with respect to the input, from `dy`, that with respect to the output.
///
/// With a `mask`, dx is zero where the mask's value is not above zero: pass the input itself where it came out of a ReLU, and
/// dx is the gradient before that ReLU. `dx_map` has the input's sizes and any border, which is filled with zeros.
///
/// At stride 1 `dy` is read in place if its border is at least [`Shape::gradient_border`] wide (filled with zeros).
///
/// # Panics
/// When the shape is unsound, or a slice is too short for it.
#[allow(clippy::too_many_arguments)]
pub fn backward_data(
    context: &Context<'_>,
    shape: &Shape,
    dy_map: Map,
    dy: &[f32],
    w: &[f32],
    mask: Option<(Map, &[f32])>,
    dx_map: Map,
    dx: &mut [f32],
) {
    shape.check(shape.x.len(), w.len(), &dy_map, dy.len());
    let sizes = |map: Map| (map.n, map.h, map.w, map.c);
    assert_eq!(sizes(dx_map), sizes(shape.x), "input gradient of {shape:?}");
    assert!(dx.len() >= dx_map.len(), "dx has {} floats, the map {}", dx.len(), dx_map.len());
    if let Some((map, values)) = mask {
        assert!(sizes(map) == sizes(shape.x) && values.len() >= map.len(), "mask of {shape:?}");
    }
    let _ = context;
    reference::backward_data(shape, dy_map, dy, w, mask, dx_map, dx);
}

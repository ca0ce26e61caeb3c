//! Average pooling over the pixels of each window on the map or its padding (zeros), counted as in PyTorch and Caffe.

use super::{Shape, means};
use crate::context::Context;
use crate::feature_map::FeatureMap;

/// y[n, p, q, c] = mean over window (p, q) of x[n, ., ., c].
///
/// # Panics
/// When the shape is unsound, or a slice is too short for it.
pub fn forward(context: &Context<'_>, shape: &Shape, x: &[f32], y_map: FeatureMap, y: &mut [f32]) {
    means::forward(context, &shape.rows(), &shape.columns(), shape.x, x, y_map, y);
}

/// Gradient of the input from that of the output. `mask`: the input's values, if they are the output of a ReLU.
///
/// # Panics
/// When the shape is unsound, or a slice is too short for it.
pub fn backward(
    context: &Context<'_>,
    shape: &Shape,
    dy_map: FeatureMap,
    dy: &[f32],
    mask: Option<(FeatureMap, &[f32])>,
    dx_map: FeatureMap,
    dx: &mut [f32],
) {
    assert_eq!((dx_map.n, dx_map.h, dx_map.w, dx_map.c), (shape.x.n, shape.x.h, shape.x.w, shape.x.c), "gradient of {shape:?}");
    means::backward(context, (&shape.rows(), &shape.columns()), dy_map, dy, mask, dx_map, dx);
}

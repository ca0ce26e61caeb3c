//! Adaptive average pooling over P x Q windows that tile the map, whatever its size (PyTorch's AdaptiveAvgPool2d): window p
//! covers the rows floor(p H / P) to ceil((p + 1) H / P), and columns likewise.

use super::{means, span};
use crate::context::Context;
use crate::feature_map::FeatureMap;

/// y[n, p, q, c] = mean over window (p, q) of x[n, ., ., c]; `y_map` determines P and Q.
///
/// # Panics
/// When the maps do not fit each other, or a slice is too short.
pub fn forward(context: &Context<'_>, x_map: FeatureMap, x: &[f32], y_map: FeatureMap, y: &mut [f32]) {
    if (x_map.h, x_map.w) == (y_map.h, y_map.w) {
        return means::copy(context, x_map, x, None, y_map, y);
    }
    let (rows, columns) = (span::adaptive(y_map.h, x_map.h), span::adaptive(y_map.w, x_map.w));
    means::forward(context, &rows, &columns, x_map, x, y_map, y);
}

/// Gradient of the input from that of the output. `mask`: the input's values, if they are the output of a ReLU.
///
/// # Panics
/// When the maps do not fit each other, or a slice is too short.
pub fn backward(
    context: &Context<'_>,
    x_map: FeatureMap,
    dy_map: FeatureMap,
    dy: &[f32],
    mask: Option<(FeatureMap, &[f32])>,
    dx_map: FeatureMap,
    dx: &mut [f32],
) {
    assert_eq!((dx_map.n, dx_map.h, dx_map.w, dx_map.c), (x_map.n, x_map.h, x_map.w, x_map.c), "gradient of {x_map:?}");
    if (x_map.h, x_map.w) == (dy_map.h, dy_map.w) {
        return means::copy(context, dy_map, dy, mask, dx_map, dx);
    }
    let (rows, columns) = (span::adaptive(dy_map.h, x_map.h), span::adaptive(dy_map.w, x_map.w));
    means::backward(context, (&rows, &columns), dy_map, dy, mask, dx_map, dx);
}

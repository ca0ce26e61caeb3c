//! Forward pass of convolution.

use super::direct::Finish;
use super::{Shape, convolve, convolve_prepared};
use crate::context::Context;
use crate::feature_map::FeatureMap;

/// Convolves `x` with packed weights `w` ([`Shape::filters`]), adds the bias, and applies a ReLU if `relu`.
///
/// `y_map` is the location of the output ([`Shape::y`]); its border is filled with zeros.
///
/// # Panics
/// When the shape is unsound, or a slice is too short for it.
#[allow(clippy::too_many_arguments)]
pub fn forward(
    context: &Context<'_>,
    shape: &Shape,
    x: &[f32],
    w: &[f32],
    bias: &[f32],
    relu: bool,
    y_map: FeatureMap,
    y: &mut [f32],
) {
    shape.check(x.len(), w.len(), &y_map, y.len());
    assert_eq!(bias.len(), shape.k, "biases of {shape:?}");
    let floor = if relu { 0.0 } else { f32::NEG_INFINITY };
    convolve(context, shape, x, w, &Finish { bias: Some(bias), floor, mask: None }, y_map, y);
}

/// [`forward`] with weights from [`prepare`](super::prepare).
///
/// # Panics
/// As `forward`.
#[allow(clippy::too_many_arguments)]
pub fn forward_prepared(
    context: &Context<'_>,
    shape: &Shape,
    x: &[f32],
    prepared: &[f32],
    bias: &[f32],
    relu: bool,
    y_map: FeatureMap,
    y: &mut [f32],
) {
    shape.check(x.len(), shape.filters().packed_len(), &y_map, y.len());
    assert_eq!(bias.len(), shape.k, "biases of {shape:?}");
    let floor = if relu { 0.0 } else { f32::NEG_INFINITY };
    convolve_prepared(context, shape, x, prepared, &Finish { bias: Some(bias), floor, mask: None }, y_map, y);
}

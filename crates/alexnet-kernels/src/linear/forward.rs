//! The forward pass.

use super::{Shape, reference};
use crate::context::Context;

/// Multiplies `x` with packed weights `w`, adds the bias, and clips at zero when `relu`.
///
/// # Panics
/// When a slice is too short for the shape.
pub fn forward(context: &Context<'_>, shape: &Shape, x: &[f32], w: &[f32], bias: &[f32], relu: bool, y: &mut [f32]) {
    shape.check(x.len(), w.len(), y.len());
    assert_eq!(bias.len(), shape.outputs, "biases of {shape:?}");
    let _ = context;
    reference::forward(shape, x, w, bias, relu, y);
}

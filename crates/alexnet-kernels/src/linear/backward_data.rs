//! The gradient with respect to the input.

use super::{Shape, reference};
use crate::context::Context;

/// dx = the gradient of the loss with respect to the input, from `dy`, that with respect to the output.
///
/// With a `mask` ([n, inputs]), dx is zero where the mask's value is not above zero: pass the input itself where it came out
/// of a ReLU, and dx is the gradient before that ReLU.
///
/// # Panics
/// When a slice is too short for the shape.
pub fn backward_data(context: &Context<'_>, shape: &Shape, dy: &[f32], w: &[f32], mask: Option<&[f32]>, dx: &mut [f32]) {
    shape.check(dx.len(), w.len(), dy.len());
    assert!(mask.is_none_or(|mask| mask.len() >= shape.n * shape.inputs), "mask of {shape:?}");
    let _ = context;
    reference::backward_data(shape, dy, w, mask, dx);
}

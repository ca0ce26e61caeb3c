//! The gradient with respect to the weights.

use super::{Shape, reference};
use crate::context::Context;

/// dw = the gradient of the loss with respect to the packed weights; unused lanes are written with zeros.
///
/// The bias's gradient is [`bias::gradient`](crate::bias::gradient) on `Map::plain(n, 1, 1, outputs)`.
///
/// # Panics
/// When a slice is too short for the shape.
pub fn backward_weights(context: &Context<'_>, shape: &Shape, x: &[f32], dy: &[f32], dw: &mut [f32]) {
    shape.check(x.len(), dw.len(), dy.len());
    let _ = context;
    reference::backward_weights(shape, x, dy, dw);
}

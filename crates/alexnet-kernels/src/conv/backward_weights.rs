//! The gradient with respect to the weights.

use super::{Shape, reference};
use crate::context::Context;
use crate::map::Map;

/// dw = the gradient of the loss with respect to the packed weights; unused lanes are written with zeros.
///
/// The bias's gradient is [`bias::gradient`](crate::bias::gradient).
///
/// # Panics
/// When the shape is unsound, or a slice is too short for it.
pub fn backward_weights(context: &Context<'_>, shape: &Shape, x: &[f32], dy_map: Map, dy: &[f32], dw: &mut [f32]) {
    shape.check(x.len(), dw.len(), &dy_map, dy.len());
    let _ = context;
    reference::backward_weights(shape, x, dy_map, dy, dw);
}

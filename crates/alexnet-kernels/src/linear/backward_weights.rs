//! The gradient with respect to the weights.

use super::{Shape, reference};
use crate::context::Context;
use crate::update;

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

/// The gradient with respect to the weights, and at once the update of `w` and `v` by `rule`.
///
/// # Panics
/// When a slice is too short for the shape.
#[allow(clippy::too_many_arguments)]
pub fn backward_weights_update(
    context: &Context<'_>,
    shape: &Shape,
    x: &[f32],
    dy: &[f32],
    rule: &update::Rule,
    w: &mut [f32],
    v: &mut [f32],
) {
    crate::buffer::with_scratch(w.len(), |dw| {
        backward_weights(context, shape, x, dy, dw);
        update::sgd(context, rule, w, v, dw);
    });
}

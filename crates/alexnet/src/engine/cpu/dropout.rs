//! Which units a dropout layer takes, and what it does to the others: one answer, however the layer is reached.

use alexnet_kernels::context::Context;
use alexnet_kernels::dropout;
use alexnet_kernels::random::Key;

use crate::engine::DropoutKey;
use crate::net::DropoutStyle;

/// The net's layer number `layer` on `n` pictures of `features` values: dropout with a key; without one, what inference does
/// instead.
#[allow(clippy::too_many_arguments)]
pub(crate) fn apply(
    context: &Context<'_>,
    layer: usize,
    rate: f32,
    style: DropoutStyle,
    key: Option<DropoutKey>,
    n: usize,
    features: usize,
    values: &mut [f32],
) {
    let keep = 1.0 - rate;
    let values = &mut values[..n * features];
    match (key, style) {
        (Some(key), _) => {
            let scale = if style == DropoutStyle::ScaleInTraining { 1.0 / keep } else { 1.0 };
            let stream = Key(key.seed).with(key.step).with(layer as u64);
            dropout::apply(context, &dropout::Shape { n, features, rate, scale }, stream, key.first_picture, values);
        }
        (None, DropoutStyle::ScaleInTraining) => {}
        (None, DropoutStyle::ScaleAtInference) => values.iter_mut().for_each(|v| *v *= keep),
    }
}

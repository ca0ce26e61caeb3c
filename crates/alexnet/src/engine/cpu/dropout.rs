//! Dropout, shared by every way of running a layer.

use alexnet_kernels::context::Context;
use alexnet_kernels::dropout;

use crate::engine::DropoutKey;
use crate::net::DropoutStyle;

/// Applies dropout of the net's layer at index `layer` to `n` images of `features` values. Without a key it applies
/// the inference behaviour.
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
    let values = &mut values[..n * features];
    match (key, style) {
        (Some(key), _) => {
            let shape = dropout::Shape { n, features, rate, scale: style.in_training(rate) };
            dropout::apply(context, &shape, key.of_layer(layer), key.first_image, values);
        }
        (None, DropoutStyle::ScaleInTraining) => {}
        (None, DropoutStyle::ScaleAtInference) => values.iter_mut().for_each(|v| *v *= 1.0 - rate),
    }
}

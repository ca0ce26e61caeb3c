//! Running averages of parameters, and sums of gradients: one pass over memory, shared among threads.

use super::CHUNK;
use crate::context::Context;
use crate::executor::for_each_chunk;

/// Moves `average` towards `values` by `share` of their difference, as `torch.lerp` does: a share of 1 is a copy.
///
/// # Panics
/// When the lengths differ.
pub fn average(context: &Context<'_>, average: &mut [f32], values: &[f32], share: f32) {
    if share < 0.5 {
        each(context, average, values, |average, value| average + (value - average) * share);
    } else {
        // More exact here, since the difference then has the smaller part in the result.
        let rest = 1.0 - share;
        each(context, average, values, |average, value| value - (value - average) * rest);
    }
}

/// Adds `values` to `sum`.
///
/// # Panics
/// When the lengths differ.
pub fn add(context: &Context<'_>, sum: &mut [f32], values: &[f32]) {
    each(context, sum, values, |sum, value| sum + value);
}

#[inline(always)]
fn each(context: &Context<'_>, to: &mut [f32], values: &[f32], formula: impl Fn(f32, f32) -> f32 + Sync) {
    assert_eq!(to.len(), values.len(), "values of one parameter");
    for_each_chunk(context.threads, to, CHUNK, |i, to| {
        let values = &values[i * CHUNK..][..to.len()];
        context.isa.vectorize(
            #[inline(always)]
            || to.iter_mut().zip(values).for_each(|(to, &value)| *to = formula(*to, value)),
        );
    });
}

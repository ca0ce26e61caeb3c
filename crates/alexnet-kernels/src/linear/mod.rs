//! Linear (fully connected) layers.
//!
//! `y[n, o] = bias[o] + sum over i of x[n, i] w[o, i]`
//!
//! x is [n, inputs] and y [n, outputs], row-major; a map without a border is such an x. Weights and their gradients are packed
//! ([`Filters`]): `[panel of 32 outputs][input][32]`.

mod backward_data;
mod backward_weights;
mod forward;
pub mod reference;
#[cfg(test)]
mod tests;

pub use backward_data::backward_data;
pub use backward_weights::{backward_weights, backward_weights_update};
pub use forward::forward;

use crate::buffer::with_scratch;
use crate::context::Context;
use crate::pack::Filters;
use crate::threads::for_each_chunk;

/// The shape of a linear layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Pictures.
    pub n: usize,
    /// Input features.
    pub inputs: usize,
    /// Output features.
    pub outputs: usize,
}

impl Shape {
    /// The shape of the packed weights. To pack a file's weights for a flattened map, use [`Filters::linear_on_map`].
    pub fn filters(&self) -> Filters {
        Filters::linear(self.outputs, self.inputs)
    }

    /// Panics unless `x`, `w` and `y` have the right lengths.
    fn check(&self, x: usize, w: usize, y: usize) {
        assert!(x >= self.n * self.inputs, "x has {x} floats: {self:?}");
        assert_eq!(w, self.filters().packed_len(), "packed weights of {self:?}");
        assert!(y >= self.n * self.outputs, "y has {y} floats: {self:?}");
    }
}

/// Lends `work` the rows of x and their distance, copied a cache line further apart where they are a multiple of 4 KiB apart:
/// all pictures' values of one input would else fall into the same 12 places of the first-level cache.
fn with_padded_rows(context: &Context<'_>, shape: &Shape, x: &[f32], work: impl FnOnce(&[f32], usize)) {
    let Shape { n, inputs, .. } = *shape;
    if n < 5 || !inputs.is_multiple_of(1024) {
        return work(x, inputs);
    }
    let row = inputs + 16;
    with_scratch(n * row, |padded| {
        for_each_chunk(context.threads, padded, row, |picture, line| {
            line[..inputs].copy_from_slice(&x[picture * inputs..(picture + 1) * inputs]);
        });
        work(padded, row);
    });
}

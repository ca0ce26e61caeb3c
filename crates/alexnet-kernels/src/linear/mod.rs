//! Linear (fully connected) layers.
//!
//! `y[n, o] = bias[o] + sum over i of x[n, i] w[o, i]`
//!
//! x is [n, inputs] and y [n, outputs], row-major; a map without a border is such an x. Weights and their gradients are packed
//! ([`Filters`]): `[panel of 32 outputs][input][32]`.

mod backward_data;
mod backward_weights;
mod forward;
pub(crate) mod gemv;
pub mod reference;
#[cfg(test)]
mod tests;

pub use backward_data::backward_data;
pub use backward_weights::{backward_weights, backward_weights_update};
pub use forward::{forward, forward_prepared, prepare};
pub use gemv::{FEW, forward_file_order};

use crate::bf16::Bf16;
use crate::context::{Context, FactorType};
use crate::gemm::DType;
use crate::weight_layout::{Filters, PANEL};

/// The shape of a linear layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Number of images.
    pub n: usize,
    /// Input features.
    pub inputs: usize,
    /// Output features.
    pub outputs: usize,
}

impl Shape {
    /// Shape of the packed weights. To pack a file's weights for a flattened map, use [`Filters::linear_on_map`].
    pub fn filters(&self) -> Filters {
        Filters::linear(self.outputs, self.inputs)
    }

    /// Number of floats created by [`prepare`]; 0 if the weights are used unchanged.
    pub fn prepared_len(&self, context: &Context<'_>) -> usize {
        match context.factors {
            FactorType::F32 => 0,
            FactorType::Bf16 => self.filters().panels() * self.inputs.div_ceil(Bf16::WORD) * PANEL,
        }
    }

    /// Panics unless `x`, `w` and `y` have the right lengths.
    fn check(&self, x: usize, w: usize, y: usize) {
        assert!(x >= self.n * self.inputs, "x has {x} floats: {self:?}");
        assert_eq!(w, self.filters().packed_len(), "packed weights of {self:?}");
        assert!(y >= self.n * self.outputs, "y has {y} floats: {self:?}");
    }
}

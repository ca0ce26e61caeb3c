//! Convolution with groups, strides and asymmetric padding.
//!
//! `y[n, p, q, k] = bias[k] + sum over r, s, c of x[n, p stride + r - top, q stride + s - left, c] w[k, c, r, s]`
//!
//! Maps are channels last with a border of zeros in memory, so padding costs nothing: the kernels read the border. Weights and
//! their gradients are packed ([`Filters`]). There is no im2col: a pixel's R rows of S C contiguous floats are read in place.

mod backward_data;
mod backward_weights;
mod direct;
mod forward;
pub mod reference;
#[cfg(test)]
mod tests;
mod winograd;

pub(crate) use direct::corner;

pub use backward_data::backward_data;
pub use backward_weights::backward_weights;
pub use forward::{forward, forward_prepared};

use self::direct::Finish;
use crate::bf16::Bf16;
use crate::buffer::{cast, cast_mut, with_scratch};
use crate::context::{Context, Convolutions, FactorType};
use crate::feature_map::{FeatureMap, Sides};
use crate::weight_layout::Filters;

/// Shape of a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Input map. Its border must cover what the convolution reads beyond the map ([`input_border`](Self::input_border)).
    pub x: FeatureMap,
    /// Output channels K of all groups.
    pub k: usize,
    /// Kernel rows.
    pub r: usize,
    /// Kernel columns.
    pub s: usize,
    /// Stride in both directions.
    pub stride: usize,
    /// Zero padding. Only `top` and `left` shift the windows; P and Q determine the extent.
    pub pad: Sides,
    /// Output rows.
    pub p: usize,
    /// Output columns.
    pub q: usize,
    /// Groups, which divide C and K.
    pub groups: usize,
}

impl Shape {
    /// Shape of the weights.
    pub fn filters(&self) -> Filters {
        Filters { k: self.k, c: self.x.c / self.groups, r: self.r, s: self.s, groups: self.groups }
    }

    /// Output map with the given border.
    pub fn y(&self, border: Sides) -> FeatureMap {
        FeatureMap { n: self.x.n, h: self.p, w: self.q, c: self.k, border }
    }

    /// Border read by the forward pass: the padding, and the overhang of the last windows.
    pub fn input_border(&self) -> Sides {
        Sides {
            top: self.pad.top,
            left: self.pad.left,
            bottom: ((self.p - 1) * self.stride + self.r).saturating_sub(self.pad.top + self.x.h),
            right: ((self.q - 1) * self.stride + self.s).saturating_sub(self.pad.left + self.x.w),
        }
    }

    /// Border with which a stride-1 [`backward_data`] reads the output gradient in place; with less, or a larger stride, it
    /// copies each image.
    pub fn gradient_border(&self) -> Sides {
        Sides {
            top: (self.r - 1).saturating_sub(self.pad.top),
            left: (self.s - 1).saturating_sub(self.pad.left),
            bottom: (self.x.h + self.pad.top).saturating_sub((self.p - 1) * self.stride + 1),
            right: (self.x.w + self.pad.left).saturating_sub((self.q - 1) * self.stride + 1),
        }
    }

    /// Multiply-accumulates of the forward pass per image.
    pub fn macs(&self) -> usize {
        self.p * self.q * self.k * self.filters().depth()
    }

    /// Panics unless the shape is valid and `x`, `w` and `y` are long enough.
    fn check(&self, x: usize, w: usize, y_map: &FeatureMap, y: usize) {
        assert!(
            self.groups > 0 && self.x.c.is_multiple_of(self.groups) && self.k.is_multiple_of(self.groups),
            "groups must divide C and K: {self:?}"
        );
        assert!(self.stride > 0 && self.r > 0 && self.s > 0 && self.p > 0 && self.q > 0, "empty convolution: {self:?}");
        assert!(self.pad.top < self.r && self.pad.left < self.s, "padding as wide as the kernel: {self:?}");
        assert!(
            holds(self.x.border, self.input_border()),
            "the input's border is narrower than {:?}: {self:?}",
            self.input_border()
        );
        assert!(x >= self.x.len(), "x has {x} floats, the map {}", self.x.len());
        assert_eq!(w, self.filters().packed_len(), "packed weights of {:?}", self.filters());
        assert_eq!((y_map.n, y_map.h, y_map.w, y_map.c), (self.x.n, self.p, self.q, self.k), "output of {self:?}");
        assert!(y >= y_map.len(), "y has {y} floats, the map {}", y_map.len());
    }
}

/// Whether a border is at least as wide as another on every side.
fn holds(border: Sides, needed: Sides) -> bool {
    border.top >= needed.top && border.left >= needed.left && border.bottom >= needed.bottom && border.right >= needed.right
}

/// Convolution algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// Direct: every product of the formula, in registers.
    Direct,
    /// Winograd: fewer products, of transformed tiles.
    Winograd,
}

impl std::fmt::Display for Algorithm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Algorithm::Direct => "direct",
            Algorithm::Winograd => "winograd",
        })
    }
}

/// Error bound of one f32 convolution by [`Algorithm::Winograd`], as a fraction of the result's l2 norm: 5 x 5 kernels with eight
/// points deviate by up to 2.9e-6, 3 x 3 by 8e-7, direct ones by some 1e-7.
pub const WINOGRAD_ERROR: f64 = 4e-6;

impl Shape {
    /// The algorithm for this shape, by a fixed rule, never by timing or the number of threads or images.
    pub fn algorithm(&self, context: &Context<'_>) -> Algorithm {
        self.way(context).0
    }

    /// The algorithm with the precision of its products: the context's, or single precision if that needs so many fewer products
    /// that it is faster.
    fn way(&self, context: &Context<'_>) -> (Algorithm, FactorType) {
        let factors = winograd::factors(self, context.factors);
        match context.convolutions {
            Convolutions::Winograd if winograd::fits(self, factors) => (Algorithm::Winograd, factors),
            Convolutions::Fastest if winograd::pays(self, factors) => (Algorithm::Winograd, factors),
            _ => (Algorithm::Direct, context.factors),
        }
    }

    /// The algorithm of [`backward_data`], which convolves the output gradient, dilated by the stride, with rotated kernels.
    pub fn data_gradient_algorithm(&self, context: &Context<'_>) -> Algorithm {
        let (h, w) = ((self.p - 1) * self.stride + 1, (self.q - 1) * self.stride + 1);
        let x = FeatureMap { c: self.k, h, w, ..self.x };
        Shape { x, k: self.x.c, stride: 1, p: self.x.h, q: self.x.w, ..*self }.algorithm(context)
    }

    /// The algorithm of [`backward_weights`]. Strided ones stay direct: conv1's was no faster with 64 outputs (88 GFLOP/s per
    /// core on Cascade Lake with both), and a tenth with 96.
    pub fn weight_gradient_algorithm(&self, context: &Context<'_>) -> Algorithm {
        if self.stride == 1 { self.algorithm(context) } else { Algorithm::Direct }
    }

    /// Number of floats created by [`prepare`]; 0 if the algorithm uses the weights unchanged.
    pub fn prepared_len(&self, context: &Context<'_>) -> usize {
        match self.way(context) {
            (Algorithm::Direct, FactorType::F32) => 0,
            (Algorithm::Direct, FactorType::Bf16) => direct::packed_words::<Bf16>(self),
            (Algorithm::Winograd, FactorType::F32) => winograd::transformed_words::<f32>(self),
            (Algorithm::Winograd, FactorType::Bf16) => winograd::transformed_words::<Bf16>(self),
        }
    }
}

/// Prepares weights for repeated use by [`forward_prepared`].
///
/// # Panics
/// When `prepared` is not [`Shape::prepared_len`] long, or that is 0.
pub fn prepare(context: &Context<'_>, shape: &Shape, w: &[f32], prepared: &mut [f32]) {
    assert!(!prepared.is_empty() && prepared.len() == shape.prepared_len(context), "prepared weights of {shape:?}");
    let words = cast_mut(prepared);
    match shape.way(context) {
        (Algorithm::Direct, FactorType::F32) => unreachable!("nothing to prepare"),
        (Algorithm::Direct, FactorType::Bf16) => direct::pack::<Bf16>(context, shape, w, words),
        (Algorithm::Winograd, FactorType::F32) => winograd::transform::<f32>(context, shape, w, words),
        (Algorithm::Winograd, FactorType::Bf16) => winograd::transform::<Bf16>(context, shape, w, words),
    }
}

/// Convolves with the shape's algorithm.
fn convolve(context: &Context<'_>, shape: &Shape, x: &[f32], w: &[f32], finish: &Finish<'_>, y_map: FeatureMap, y: &mut [f32]) {
    let len = shape.prepared_len(context);
    if len == 0 {
        return direct::convolve::<f32>(context, shape, x, cast(w), finish, y_map, y);
    }
    with_scratch(len, |prepared| {
        prepare(context, shape, w, prepared);
        convolve_prepared(context, shape, x, prepared, finish, y_map, y);
    });
}

/// Convolves with prepared weights.
fn convolve_prepared(
    context: &Context<'_>,
    shape: &Shape,
    x: &[f32],
    prepared: &[f32],
    finish: &Finish<'_>,
    y_map: FeatureMap,
    y: &mut [f32],
) {
    assert_eq!(prepared.len(), shape.prepared_len(context), "prepared weights of {shape:?}");
    let w = cast(prepared);
    match shape.way(context) {
        (Algorithm::Direct, FactorType::F32) => unreachable!("nothing is prepared"),
        (Algorithm::Direct, FactorType::Bf16) => direct::convolve::<Bf16>(context, shape, x, w, finish, y_map, y),
        (Algorithm::Winograd, FactorType::F32) => winograd::convolve::<f32>(context, shape, x, w, finish, y_map, y),
        (Algorithm::Winograd, FactorType::Bf16) => winograd::convolve::<Bf16>(context, shape, x, w, finish, y_map, y),
    }
}

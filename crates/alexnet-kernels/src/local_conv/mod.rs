//! Locally connected layers: convolutions whose kernels are not shared between output places (cuda-convnet's `local`).
//!
//! `y[n, p, q, k] = bias[p, q, k] + sum over r, s, c of x[n, p stride + r - top, q stride + s - left, c] w[p, q, k, c, r, s]`
//!
//! Each place is a linear layer on its own window, so a task gathers the windows of all images at one place, [n, R S C], and
//! multiplies them with that place's weights by the kernels of [`linear`]. The gather costs one copy for K multiplications.
//!
//! Weights are packed ([`Filters`]) as those of a convolution with a group of kernels for each place: file order [places, K, C, R,
//! S], biases [places, K].

pub mod reference;
#[cfg(test)]
mod tests;

use crate::buffer::with_scratch;
use crate::context::Context;
use crate::executor::{DisjointSlices, Serial, for_each_chunk};
use crate::feature_map::{FeatureMap, Sides};
use crate::linear;
use crate::rows::{check_mask, mask_row};
use crate::weight_layout::Filters;

/// Shape of a locally connected layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Input map; its border is not read.
    pub x: FeatureMap,
    /// Output channels K.
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
}

/// Floats of the windows' gradients that are held before they are added up: 16 MiB.
const HELD: usize = 4 << 20;

impl Shape {
    /// Number of output places.
    pub fn places(&self) -> usize {
        self.p * self.q
    }

    /// Shape of the weights: a group for each place.
    pub fn filters(&self) -> Filters {
        Filters { k: self.places() * self.k, c: self.x.c, r: self.r, s: self.s, groups: self.places() }
    }

    /// Output map with the given border.
    pub fn y(&self, border: Sides) -> FeatureMap {
        FeatureMap { n: self.x.n, h: self.p, w: self.q, c: self.k, border }
    }

    /// Multiply-accumulates of the forward pass per image.
    pub fn macs(&self) -> usize {
        self.filters().len()
    }

    /// The linear layer of one place, for `n` images.
    fn at_place(&self, n: usize) -> linear::Shape {
        linear::Shape { n, inputs: self.filters().depth(), outputs: self.k }
    }

    /// Parts of an image's row that lie in row `r` of the window at (`p`, `q`): the row, its first column, and the offset and
    /// number of the columns within the window. `None` if the whole row is padding.
    #[inline(always)]
    fn part(&self, p: usize, q: usize, r: usize) -> Option<(usize, usize, usize, usize)> {
        let row = (p * self.stride + r).checked_sub(self.pad.top).filter(|&row| row < self.x.h)?;
        let skipped = self.pad.left.saturating_sub(q * self.stride).min(self.s);
        let first = q * self.stride + skipped;
        let count = (self.s - skipped).min((self.x.w + self.pad.left).saturating_sub(first));
        (count > 0).then(|| (row, first - self.pad.left, skipped, count))
    }

    /// Panics unless the shape is valid and `x`, `w` and `y` are long enough.
    fn check(&self, x: usize, w: usize, y_map: &FeatureMap, y: usize) {
        assert!(self.stride > 0 && self.r > 0 && self.s > 0 && self.p > 0 && self.q > 0, "empty layer: {self:?}");
        assert!(self.x.c > 0 && self.k > 0, "no channels: {self:?}");
        assert!(x >= self.x.len(), "x has {x} floats, the map {}", self.x.len());
        assert_eq!(w, self.filters().packed_len(), "packed weights of {:?}", self.filters());
        assert_eq!((y_map.n, y_map.h, y_map.w, y_map.c), (self.x.n, self.p, self.q, self.k), "output of {self:?}");
        assert!(y >= y_map.len(), "y has {y} floats, the map {}", y_map.len());
    }

    /// Copies the windows of all images at a place into rows of `to`, with zeros where they lie in the padding.
    fn gather(&self, x: &[f32], place: usize, to: &mut [f32]) {
        let (p, q, c) = (place / self.q, place % self.q, self.x.c);
        for (n, window) in to.chunks_exact_mut(self.filters().depth()).enumerate() {
            for (r, line) in window.chunks_exact_mut(self.s * c).enumerate() {
                let Some((row, column, skipped, count)) = self.part(p, q, r) else {
                    line.fill(0.0);
                    continue;
                };
                let (from, end) = (self.x.at(n, row, column), (skipped + count) * c);
                line[..skipped * c].fill(0.0);
                line[skipped * c..end].copy_from_slice(&x[from..from + count * c]);
                line[end..].fill(0.0);
            }
        }
    }
}

/// Copies an output's values of images `first..` at a place into rows of `to`.
fn gather_outputs(map: FeatureMap, values: &[f32], first: usize, place: usize, to: &mut [f32]) {
    for (n, line) in to.chunks_exact_mut(map.c).enumerate() {
        let at = map.at(first + n, place / map.w, place % map.w);
        line.copy_from_slice(&values[at..at + map.c]);
    }
}

/// The context of the products at one place, which a single task computes.
fn alone<'a>(context: &Context<'a>) -> Context<'a> {
    Context { threads: &Serial, ..*context }
}

/// Multiplies the window at each place of `x` with that place's packed weights `w`, adds the biases, and applies a ReLU if
/// `relu`. The border of `y` is filled with zeros.
///
/// # Panics
/// When the shape is unsound, or a slice is too short for it.
#[allow(clippy::too_many_arguments)]
pub fn forward(
    context: &Context<'_>,
    shape: &Shape,
    x: &[f32],
    w: &[f32],
    bias: &[f32],
    relu: bool,
    y_map: FeatureMap,
    y: &mut [f32],
) {
    shape.check(x.len(), w.len(), &y_map, y.len());
    assert_eq!(bias.len(), shape.places() * shape.k, "biases of {shape:?}");
    y_map.clear_borders(context.threads, y);
    let (n, k, one) = (shape.x.n, shape.k, shape.at_place(shape.x.n));
    let weights = w.len() / shape.places();
    let y = DisjointSlices::new(y);
    context.threads.run(shape.places(), &|place| {
        with_scratch(n * (one.inputs + k), |scratch| {
            let (windows, outputs) = scratch.split_at_mut(n * one.inputs);
            shape.gather(x, place, windows);
            let (w, bias) = (&w[place * weights..][..weights], &bias[place * k..][..k]);
            linear::forward(&alone(context), &one, windows, w, bias, relu, outputs);
            for (n, outputs) in outputs.chunks_exact(k).enumerate() {
                // SAFETY: a place's outputs belong to its task alone.
                unsafe { y.slice(y_map.at(n, place / shape.q, place % shape.q), k) }.copy_from_slice(outputs);
            }
        });
    });
}

/// dx = the gradient of the loss with respect to the input, from `dy`, that with respect to the output.
///
/// With a `mask`, dx is zero where the mask's value is not positive: pass the input itself if it is the output of a ReLU, and dx
/// is the gradient before that ReLU. `dx_map` has the input's sizes and any border, which is filled with zeros.
///
/// Windows overlap: their gradients are first computed place by place, then added up image by image, always in the same order.
///
/// # Panics
/// When the shape is unsound, or a slice is too short for it.
#[allow(clippy::too_many_arguments)]
pub fn backward_data(
    context: &Context<'_>,
    shape: &Shape,
    dy_map: FeatureMap,
    dy: &[f32],
    w: &[f32],
    mask: Option<(FeatureMap, &[f32])>,
    dx_map: FeatureMap,
    dx: &mut [f32],
) {
    shape.check(shape.x.len(), w.len(), &dy_map, dy.len());
    let sizes = |map: FeatureMap| (map.n, map.h, map.w, map.c);
    assert_eq!(sizes(dx_map), sizes(shape.x), "input gradient of {shape:?}");
    assert!(dx.len() >= dx_map.len(), "dx has {} floats, the map {}", dx.len(), dx_map.len());
    check_mask("input gradient of a locally connected layer", mask, dx_map);
    let (k, c, depth, places) = (shape.k, shape.x.c, shape.filters().depth(), shape.places());
    let weights = w.len() / places;
    let together = (HELD / (places * depth)).clamp(1, shape.x.n.max(1));
    let stride = dx_map.image_stride();
    for (block, dx) in dx[..dx_map.len()].chunks_mut(together * stride).enumerate() {
        let (first, n) = (block * together, dx.len() / stride);
        with_scratch(places * n * depth, |windows| {
            for_each_chunk(context.threads, windows, n * depth, |place, windows| {
                with_scratch(n * k, |outputs| {
                    gather_outputs(dy_map, dy, first, place, outputs);
                    let w = &w[place * weights..][..weights];
                    linear::backward_data(&alone(context), &shape.at_place(n), outputs, w, None, windows);
                });
            });
            let windows = &*windows;
            for_each_chunk(context.threads, dx, stride, |i, image| {
                let one = FeatureMap { n: 1, ..dx_map };
                image.fill(0.0);
                for place in 0..places {
                    let window = &windows[(place * n + i) * depth..][..depth];
                    for (r, line) in window.chunks_exact(shape.s * c).enumerate() {
                        let Some((row, column, skipped, count)) = shape.part(place / shape.q, place % shape.q, r) else {
                            continue;
                        };
                        let at = one.at(0, row, column);
                        for (sum, value) in image[at..at + count * c].iter_mut().zip(&line[skipped * c..]) {
                            *sum += value;
                        }
                    }
                }
                for row in 0..one.h {
                    let at = one.at(0, row, 0);
                    mask_row(mask, first + i, row, &mut image[at..at + one.w * c]);
                }
            });
        });
    }
}

/// dw = the gradient of the loss with respect to the packed weights; unused lanes are written with zeros.
///
/// # Panics
/// When the shape is unsound, or a slice is too short for it.
pub fn backward_weights(context: &Context<'_>, shape: &Shape, x: &[f32], dy_map: FeatureMap, dy: &[f32], dw: &mut [f32]) {
    shape.check(x.len(), dw.len(), &dy_map, dy.len());
    let (n, one) = (shape.x.n, shape.at_place(shape.x.n));
    let weights = dw.len() / shape.places();
    for_each_chunk(context.threads, dw, weights, |place, dw| {
        with_scratch(n * (one.inputs + shape.k), |scratch| {
            let (windows, outputs) = scratch.split_at_mut(n * one.inputs);
            shape.gather(x, place, windows);
            gather_outputs(dy_map, dy, 0, place, outputs);
            linear::backward_weights(&alone(context), &one, windows, outputs, dw);
        });
    });
}

/// `db[p, q, k] = sum over n of dy[n, p, q, k]`, summed in f64.
///
/// # Panics
/// When `dy` is shorter than the map, or `db` does not have a value for each output of one image.
pub fn backward_biases(context: &Context<'_>, map: FeatureMap, dy: &[f32], db: &mut [f32]) {
    assert_eq!(db.len(), map.h * map.w * map.c, "bias gradients of {map:?}");
    assert!(dy.len() >= map.len(), "gradient of {map:?}");
    for_each_chunk(context.threads, db, map.c.max(1), |place, db| {
        for (k, db) in db.iter_mut().enumerate() {
            let values = (0..map.n).map(|n| f64::from(dy[map.at(n, place / map.w, place % map.w) + k]));
            *db = values.sum::<f64>() as f32;
        }
    });
}

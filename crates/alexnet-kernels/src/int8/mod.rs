//! 8-bit inference: unsigned byte activations, signed byte weights, integer sums.
//!
//! A byte q represents `scale (q - zero)`. Activations have one scale per map, determined by calibration ([`range`]); weights
//! have one per output. The output of a ReLU has `zero` 0; only the net's own input needs another.
//!
//! ```text
//! y[k] = bias[k] + scale_x scale_w[k] sum of (x - zero_x) w[k] = factor[k] (sum of x w[k]) + offset[k]
//! ```
//!
//! Sums of products are exact, so every instruction set gives the same bits.

mod conv;
mod linear;
mod pool;
pub mod range;
pub mod reference;
#[cfg(test)]
mod tests;
mod weights;

pub use conv::forward as conv;
pub use linear::forward as linear;
pub use pool::max as max_pool;
pub use weights::Weights;

use crate::context::Context;
use crate::executor::{DisjointSlices, for_each_chunk};
use crate::feature_map::FeatureMap;
use crate::simd::{LANES, Vector, Vectorized, nearest_byte};
use crate::weight_layout::PANEL;

/// Quantisation parameters of a byte map.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct QuantParams {
    /// Step between bytes; positive.
    pub scale: f32,
    /// The byte that represents zero.
    pub zero: u8,
}

impl QuantParams {
    /// Quantises to the nearest byte, clamped to the range; NaN becomes the lowest.
    #[inline(always)]
    pub fn quantise(&self, value: f32) -> u8 {
        nearest_byte(value * (1.0 / self.scale) + f32::from(self.zero))
    }

    /// Dequantises a byte.
    pub fn value(&self, byte: u8) -> f32 {
        self.scale * (f32::from(byte) - f32::from(self.zero))
    }
}

/// Destination of outputs.
pub enum Output<'a> {
    /// As floats.
    Floats(&'a mut [f32]),
    /// As bytes, for a following byte layer.
    Bytes(&'a mut [u8], QuantParams),
}

/// Quantises a map of floats; the border becomes the zero point.
///
/// # Panics
/// When a slice is too short.
pub fn from_floats(context: &Context<'_>, q: QuantParams, x_map: FeatureMap, x: &[f32], y_map: FeatureMap, y: &mut [u8]) {
    assert_eq!((x_map.n, x_map.h, x_map.w, x_map.c), (y_map.n, y_map.h, y_map.w, y_map.c), "bytes of a map");
    for_each_chunk(context.threads, &mut y[..y_map.len()], y_map.image_stride(), |n, image| {
        fill_border(y_map, q.zero, image);
        for h in 0..y_map.h {
            let (from, to, len) = (x_map.at(n, h, 0), y_map.at(0, h, 0), y_map.w * y_map.c);
            let (from, to) = (&x[from..from + len], &mut image[to..to + len]);
            context.isa.vectorize(
                #[inline(always)]
                || to.iter_mut().zip(from).for_each(|(to, &from)| *to = q.quantise(from)),
            );
        }
    });
}

/// Quantises images `[n, c, h, w]` into a byte map.
///
/// # Panics
/// When a slice is too short.
pub fn from_planes(context: &Context<'_>, q: QuantParams, planes: &[f32], map: FeatureMap, y: &mut [u8]) {
    let plane = map.h * map.w;
    assert!(planes.len() >= map.n * map.c * plane, "{} floats for {map:?}", planes.len());
    for_each_chunk(context.threads, &mut y[..map.len()], map.image_stride(), |n, image| {
        fill_border(map, q.zero, image);
        let mut row = vec![0; map.c * map.w];
        for h in 0..map.h {
            for (c, row) in row.chunks_exact_mut(map.w).enumerate() {
                let from = &planes[(n * map.c + c) * plane + h * map.w..][..map.w];
                context.isa.vectorize(
                    #[inline(always)]
                    || row.iter_mut().zip(from).for_each(|(to, &from)| *to = q.quantise(from)),
                );
            }
            let line = &mut image[map.at(0, h, 0)..][..map.w * map.c];
            if map.c == 3 {
                let (red, rest) = row.split_at(map.w);
                let (green, blue) = rest.split_at(map.w);
                for (((pixel, &r), &g), &b) in line.chunks_exact_mut(3).zip(red).zip(green).zip(blue) {
                    (pixel[0], pixel[1], pixel[2]) = (r, g, b);
                }
            } else {
                for (w, pixel) in line.chunks_exact_mut(map.c).enumerate() {
                    for (c, value) in pixel.iter_mut().enumerate() {
                        *value = row[c * map.w + w];
                    }
                }
            }
        }
    });
}

/// Fills the border of one image.
fn fill_border(map: FeatureMap, byte: u8, image: &mut [u8]) {
    if map.border == Default::default() {
        return;
    }
    let (row, c) = (map.row_stride(), map.c);
    image[..map.border.top * row].fill(byte);
    image[(map.border.top + map.h) * row..].fill(byte);
    for line in image[map.border.top * row..(map.border.top + map.h) * row].chunks_exact_mut(row) {
        line[..map.border.left * c].fill(byte);
        line[row - map.border.right * c..].fill(byte);
    }
}

/// Converts a tile's sums, 32 lanes per row, to outputs: one row every `y_row`, starting at `at`.
///
/// Requires exclusive access to those outputs.
struct Finish<'a> {
    sums: &'a [i32],
    /// For each output.
    factors: &'a [f32],
    offsets: &'a [f32],
    floor: f32,
    place: &'a Place<'a>,
    at: usize,
    y_row: usize,
}

impl Vectorized for Finish<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let Finish { sums, factors, offsets, floor, place, at, y_row } = self;
        let lanes = factors.len();
        assert!(offsets.len() == lanes && lanes <= PANEL);
        let (scale, zero) = match place {
            Place::Floats(_) => (1.0, 0.0),
            Place::Bytes(_, q) => (1.0 / q.scale, f32::from(q.zero)),
        };
        for first in (0..lanes).step_by(V::WIDTH) {
            let some = V::WIDTH.min(lanes - first);
            let (mut factor, mut offset) = ([0.0; LANES], [0.0; LANES]);
            factor[..some].copy_from_slice(&factors[first..first + some]);
            offset[..some].copy_from_slice(&offsets[first..first + some]);
            // SAFETY: rows of sums are a panel, which registers' widths divide; y is cut to what is written.
            unsafe {
                let (factor, offset) = (V::load(factor.as_ptr()), V::load(offset.as_ptr()));
                let (floor, scale, zero) = (V::splat(floor), V::splat(scale), V::splat(zero));
                for (m, sums) in sums.chunks_exact(PANEL).enumerate() {
                    let sum = V::load(sums[first..].as_ptr().cast()).of_integers();
                    let value = sum.mul_add(factor, offset).at_least(floor);
                    let start = at + m * y_row + first;
                    match place {
                        Place::Floats(y) => {
                            let y = y.slice(start, some);
                            if some == V::WIDTH {
                                value.store(y.as_mut_ptr());
                            } else {
                                let mut whole = [0.0; LANES];
                                value.store(whole.as_mut_ptr());
                                y.copy_from_slice(&whole[..some]);
                            }
                        }
                        Place::Bytes(y, _) => {
                            let (y, value) = (y.slice(start, some), value.mul_add(scale, zero));
                            if some == V::WIDTH {
                                value.store_bytes(y.as_mut_ptr());
                            } else {
                                let mut whole = [0; LANES];
                                value.store_bytes(whole.as_mut_ptr());
                                y.copy_from_slice(&whole[..some]);
                            }
                        }
                    }
                }
            }
        }
    }
}

/// [`Output`] for many tasks.
pub(crate) enum Place<'a> {
    Floats(DisjointSlices<'a, f32>),
    Bytes(DisjointSlices<'a, u8>, QuantParams),
}

impl<'a> From<Output<'a>> for Place<'a> {
    fn from(output: Output<'a>) -> Self {
        match output {
            Output::Floats(y) => Place::Floats(DisjointSlices::new(y)),
            Output::Bytes(y, q) => Place::Bytes(DisjointSlices::new(y), q),
        }
    }
}

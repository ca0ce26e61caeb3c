//! Local response normalisation across channels (paper, section 3.3).
//!
//! y_i = x_i d_i^-beta, d_i = k + alpha * sum of x_j^2 over the n channels j around i, within i's column of channels
//!
//! dx_i = dy_i d_i^-beta - 2 alpha beta x_i * sum of dy_j x_j d_j^(-beta - 1) over the same channels (the window is symmetric)

pub mod maxpool;
mod power;
pub mod reference;
mod row;

pub(crate) use power::{Power, negative, negative_and_next};

use crate::buffer::with_scratch;
use crate::context::Context;
use crate::feature_map::FeatureMap;
use crate::rows::{check_same, for_each_row, mask_row, row as row_of};
use crate::simd::LANES;

/// Shape and settings of a normalisation across channels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shape {
    /// The input's map; its border is not read.
    pub x: FeatureMap,
    /// Channels in the window; odd. The window is truncated at a column's edges.
    pub n: usize,
    /// Factor of the sum, already divided by n if required.
    pub alpha: f32,
    /// Exponent; 0.75 is fast.
    pub beta: f32,
    /// Constant added to the sum; positive.
    pub k: f32,
    /// Number of equal columns of channels that the window never crosses.
    pub columns: usize,
}

impl Shape {
    fn check(&self) {
        assert!(self.n % 2 == 1, "the window must be odd: {self:?}");
        assert!(self.columns > 0 && self.x.c.is_multiple_of(self.columns), "columns must divide C: {self:?}");
    }

    /// Floats of a padded row: n / 2 zeros before each column of channels, and n / 2 more at the end, followed by space for a
    /// register, since the last block of a column may be read beyond it.
    fn padded(&self) -> usize {
        self.x.w * self.columns * (self.x.c / self.columns + self.n / 2) + self.n / 2 + LANES
    }

    /// Scratch floats for a row of the backward pass: two padded rows and a plain one.
    fn backward_scratch(&self) -> usize {
        2 * self.padded() + self.x.w * self.x.c
    }
}

/// Normalises `x`.
///
/// # Panics
/// When the window is even, the columns do not divide C, or a slice is too short.
pub fn forward(context: &Context<'_>, shape: &Shape, x: &[f32], y_map: FeatureMap, y: &mut [f32]) {
    shape.check();
    check_same("normalisation", shape.x, x.len(), y_map, y.len());
    for_each_row(context.threads, y_map, y, |n, h, y| {
        let x = row_of(shape.x, x, n, h);
        with_scratch(shape.padded(), |squares| row::forward(context.isa, shape, x, y, squares));
    });
}

/// Gradient of the input from that of the output; the denominators are recomputed from `x`. `mask`: `x` is the output of a ReLU.
///
/// # Panics
/// When the window is even, the columns do not divide C, or a slice is too short.
#[allow(clippy::too_many_arguments)]
pub fn backward(
    context: &Context<'_>,
    shape: &Shape,
    x: &[f32],
    dy_map: FeatureMap,
    dy: &[f32],
    mask: bool,
    dx_map: FeatureMap,
    dx: &mut [f32],
) {
    shape.check();
    check_same("gradient of a normalisation", shape.x, x.len(), dx_map, dx.len());
    check_same("gradient of a normalisation", shape.x, x.len(), dy_map, dy.len());
    let mask = mask.then_some((shape.x, x));
    for_each_row(context.threads, dx_map, dx, |n, h, dx| {
        let (x, dy) = (row_of(shape.x, x, n, h), row_of(dy_map, dy, n, h));
        with_scratch(shape.backward_scratch(), |scratch| {
            row::backward(context.isa, shape, x, dy, dx, scratch);
            context.isa.vectorize(
                #[inline(always)]
                || mask_row(mask, n, h, dx),
            );
        });
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feature_map::Sides;
    use crate::isa::Isa;
    use crate::rows::testing::{assert_near, border, check_differences, contexts, inside, inside_of, random};

    fn shapes() -> Vec<Shape> {
        let mut all = Vec::new();
        for (i, (c, columns)) in [(1, 1), (3, 1), (19, 1), (32, 2), (35, 1), (6, 2), (21, 7), (96, 1)].into_iter().enumerate() {
            for (j, n) in [1, 3, 5, 7].into_iter().enumerate() {
                for beta in [0.75, 0.5] {
                    let x = FeatureMap { n: 1 + i % 2, h: 1 + (i + j) % 4, w: 1 + (2 * i + j) % 9, c, border: border(i + j) };
                    all.push(Shape { x, n, alpha: 0.3, beta, k: 1.0 + j as f32, columns });
                }
            }
        }
        all
    }

    #[test]
    fn matches_reference() {
        for (i, shape) in shapes().into_iter().enumerate() {
            let (y_map, dx_map, dy_map) = (
                FeatureMap { border: border(i), ..shape.x },
                FeatureMap { border: border(i + 1), ..shape.x },
                FeatureMap { border: border(i + 2), ..shape.x },
            );
            let (x, dy) = (random(shape.x, i as u64, 3.0), random(dy_map, 100 + i as u64, 1.0));
            let (x64, dy64) = (inside_of(shape.x, &x), inside_of(dy_map, &dy));
            let (expected, gradient) = (reference::forward(&shape, &x64), reference::backward(&shape, &x64, &dy64));
            for context in contexts() {
                let what = format!("{shape:?} {}", context.isa);
                let mut y = vec![f32::NAN; y_map.len()];
                forward(&context, &shape, &x, y_map, &mut y);
                assert_near(&what, &inside(y_map, &y), &expected, 1e-6);
                let mut dx = vec![f32::NAN; dx_map.len()];
                backward(&context, &shape, &x, dy_map, &dy, false, dx_map, &mut dx);
                assert_near(&what, &inside(dx_map, &dx), &gradient, 2e-6);
                backward(&context, &shape, &x, dy_map, &dy, true, dx_map, &mut dx);
                let masked: Vec<f64> = gradient.iter().zip(&x64).map(|(&g, &x)| if x > 0.0 { g } else { 0.0 }).collect();
                assert_near(&what, &inside(dx_map, &dx), &masked, 2e-6);
            }
        }
    }

    #[test]
    fn gradient_matches_differences() {
        for (i, shape) in shapes().into_iter().enumerate().filter(|(_, shape)| shape.x.c < 35) {
            let shape = Shape { x: FeatureMap { border: Sides::default(), ..shape.x }, ..shape };
            let (x, dy) =
                (inside(shape.x, &random(shape.x, i as u64, 3.0)), inside(shape.x, &random(shape.x, 50 + i as u64, 1.0)));
            let gradient = reference::backward(&shape, &x, &dy);
            check_differences(&format!("{shape:?}"), &x, &dy, &gradient, |x| reference::forward(&shape, x));
        }
    }

    #[test]
    fn known_numbers() {
        let shape = Shape { x: FeatureMap::plain(1, 1, 1, 4), n: 3, alpha: 1.0, beta: 0.75, k: 2.0, columns: 1 };
        let context = Context::serial(Isa::detect());
        let mut y = [0.0; 4];
        // d = 2 + 1 + 4, 2 + 1 + 4 + 9, 2 + 4 + 9, 2 + 9; and 16^0.75 = 8.
        forward(&context, &shape, &[1.0, 2.0, 3.0, 0.0], shape.x, &mut y);
        for (y, expected) in y.into_iter().zip([7f32.powf(-0.75), 2.0 / 8.0, 3.0 * 15f32.powf(-0.75), 0.0]) {
            assert!((y - expected).abs() < 1e-7, "{y} {expected}");
        }
        // Tiny inputs are scaled by k alone: 2^-0.75.
        forward(&context, &shape, &[1e-6; 4], shape.x, &mut y);
        assert!(y.iter().all(|y| (y / 1e-6 - 0.594_603_56).abs() < 2e-7), "{y:?}");
        forward(&context, &shape, &[0.0; 4], shape.x, &mut y);
        assert_eq!(y, [0.0; 4]);
    }

    #[test]
    fn two_columns_are_two_maps() {
        let half = FeatureMap::plain(2, 3, 4, 20);
        let whole = FeatureMap { c: 40, ..half };
        let shape = Shape { x: whole, n: 5, alpha: 0.2, beta: 0.75, k: 2.0, columns: 2 };
        let (x, dy) = (random(whole, 1, 3.0), random(whole, 2, 1.0));
        let cut = |values: &[f32], side: usize| -> Vec<f32> {
            values.chunks(40).flat_map(|pixel| pixel[side * 20..][..20].to_vec()).collect()
        };
        for context in contexts() {
            let (mut y, mut dx) = (vec![0.0; whole.len()], vec![0.0; whole.len()]);
            forward(&context, &shape, &x, whole, &mut y);
            backward(&context, &shape, &x, whole, &dy, false, whole, &mut dx);
            let alone = Shape { x: half, columns: 1, ..shape };
            for side in [0, 1] {
                let (mut y_half, mut dx_half) = (vec![0.0; half.len()], vec![0.0; half.len()]);
                forward(&context, &alone, &cut(&x, side), half, &mut y_half);
                backward(&context, &alone, &cut(&x, side), half, &cut(&dy, side), false, half, &mut dx_half);
                assert_eq!(cut(&y, side), y_half);
                assert_eq!(cut(&dx, side), dx_half);
            }
        }
    }

    #[test]
    fn same_bits_everywhere() {
        let map = FeatureMap { n: 3, h: 9, w: 55, c: 96, border: border(1) };
        let shape = Shape { x: map, n: 5, alpha: 0.01, beta: 0.75, k: 2.0, columns: 1 };
        let x = random(map, 1, 30.0);
        let run = |context: &Context<'_>| {
            let mut y = vec![0.0; map.len()];
            forward(context, &shape, &x, map, &mut y);
            y
        };
        let all: Vec<_> = contexts().iter().map(run).collect();
        assert!(all.windows(2).all(|pair| pair[0] == pair[1]));
    }
}

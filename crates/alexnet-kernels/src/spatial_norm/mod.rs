//! Response normalisation within one map, from the 2012 code (`rnorm`).
//!
//! y = x d^-beta, d = k + alpha * sum of x^2 over the n x n pixels around, zeros beyond the map
//!
//! dx = dy d^-beta - 2 alpha beta x * sum of dy x d^(-beta - 1) over the same pixels (the window is symmetric)
//!
//! Windows are summed along columns first, then along rows, so a pixel costs 2n additions, all of them vectorised.

pub mod reference;

use crate::buffer::with_scratch;
use crate::context::Context;
use crate::feature_map::FeatureMap;
use crate::lrn::{Power, negative, negative_and_next};
use crate::rows::{check_same, for_each_row, mask_row, row};

/// Shape and settings of a normalisation within maps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shape {
    /// The input's map; its border is not read.
    pub x: FeatureMap,
    /// Rows and columns of the window; odd.
    pub n: usize,
    /// Factor of the sum, already divided by n^2.
    pub alpha: f32,
    /// Exponent; 0.75 is fast.
    pub beta: f32,
    /// Constant added to the sum; positive.
    pub k: f32,
}

impl Shape {
    /// Floats of a row with n / 2 pixels of zeros at both ends.
    fn padded(&self) -> usize {
        (self.x.w + 2 * (self.n / 2)) * self.x.c
    }

    /// The rows around row `h`.
    fn around(&self, h: usize) -> std::ops::Range<usize> {
        h.saturating_sub(self.n / 2)..(h + self.n / 2 + 1).min(self.x.h)
    }

    /// Zeroes both ends of a padded row and returns the part in between.
    fn zero_ends<'a>(&self, padded: &'a mut [f32]) -> &'a mut [f32] {
        let end = self.n / 2 * self.x.c;
        let inside = end..padded.len() - end;
        padded[..end].fill(0.0);
        padded[inside.end..].fill(0.0);
        &mut padded[inside]
    }
}

/// Normalises `x`.
///
/// # Panics
/// When the window is even, or a slice is too short.
pub fn forward(context: &Context<'_>, shape: &Shape, x: &[f32], y_map: FeatureMap, y: &mut [f32]) {
    assert!(shape.n % 2 == 1, "the window must be odd: {shape:?}");
    check_same("normalisation", shape.x, x.len(), y_map, y.len());
    for_each_row(context.threads, y_map, y, |n, h, y| {
        with_scratch(shape.padded() + y.len(), |scratch| {
            let (squares, d) = scratch.split_at_mut(shape.padded());
            context.isa.vectorize(
                #[inline(always)]
                || {
                    denominators(shape, x, n, h, squares, d);
                    let x = row(shape.x, x, n, h);
                    match Power::of(shape.beta) {
                        Power::ThreeQuarters => forward_row::<true>(shape.beta, x, d, y),
                        Power::Any => forward_row::<false>(shape.beta, x, d, y),
                    }
                },
            );
        });
    });
}

#[inline(always)]
fn forward_row<const FAST: bool>(beta: f32, x: &[f32], d: &[f32], y: &mut [f32]) {
    for ((y, &x), &d) in y.iter_mut().zip(x).zip(d) {
        *y = x * negative::<FAST>(d, beta);
    }
}

/// d of row `h` of image `n`; `squares` is scratch space for a padded row.
#[inline(always)]
fn denominators(shape: &Shape, x: &[f32], n: usize, h: usize, squares: &mut [f32], d: &mut [f32]) {
    let inside = shape.zero_ends(squares);
    inside.fill(0.0);
    for h in shape.around(h) {
        for (sum, &x) in inside.iter_mut().zip(row(shape.x, x, n, h)) {
            *sum += x * x;
        }
    }
    sum_along_row(shape, squares, d);
    for d in d {
        *d = shape.k + shape.alpha * *d;
    }
}

/// Sums of n neighbouring pixels of a padded row.
#[inline(always)]
fn sum_along_row(shape: &Shape, padded: &[f32], sums: &mut [f32]) {
    sums.copy_from_slice(&padded[..sums.len()]);
    for s in 1..shape.n {
        for (sum, &value) in sums.iter_mut().zip(&padded[s * shape.x.c..]) {
            *sum += value;
        }
    }
}

/// Gradient of the input from that of the output; the denominators are recomputed from `x`. `mask`: `x` is the output of a ReLU.
///
/// # Panics
/// When the window is even, or a slice is too short.
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
    assert!(shape.n % 2 == 1, "the window must be odd: {shape:?}");
    check_same("gradient of a normalisation", shape.x, x.len(), dx_map, dx.len());
    check_same("gradient of a normalisation", shape.x, x.len(), dy_map, dy.len());
    let mask = mask.then_some((shape.x, x));
    let (padded, line, rows) = (shape.padded(), shape.x.w * shape.x.c, shape.x.h);
    if line == 0 {
        return;
    }
    // One task per image, because the terms dy x d^(-beta - 1) of its rows are needed n times: 0.9 MB at 27 x 27 x 256.
    crate::executor::for_each_chunk(context.threads, &mut dx[..dx_map.len()], dx_map.image_stride().max(1), |n, image| {
        let one = FeatureMap { n: 1, ..dx_map };
        one.clear_border(image);
        with_scratch(rows * (padded + line) + padded + line, |scratch| {
            let (terms, rest) = scratch.split_at_mut(rows * padded);
            let (plain, rest) = rest.split_at_mut(rows * line);
            let (sums, d) = rest.split_at_mut(padded);
            context.isa.vectorize(
                #[inline(always)]
                || {
                    for (h, (terms, plain)) in terms.chunks_exact_mut(padded).zip(plain.chunks_exact_mut(line)).enumerate() {
                        denominators(shape, x, n, h, sums, d);
                        let (x, dy, terms) = (row(shape.x, x, n, h), row(dy_map, dy, n, h), shape.zero_ends(terms));
                        match Power::of(shape.beta) {
                            Power::ThreeQuarters => backward_row::<true>(shape.beta, (x, d, dy), plain, terms),
                            Power::Any => backward_row::<false>(shape.beta, (x, d, dy), plain, terms),
                        }
                    }
                    let factor = 2.0 * shape.alpha * shape.beta;
                    for (h, plain) in plain.chunks_exact(line).enumerate() {
                        sums.fill(0.0);
                        for h in shape.around(h) {
                            for (sum, &term) in sums.iter_mut().zip(&terms[h * padded..]) {
                                *sum += term;
                            }
                        }
                        sum_along_row(shape, sums, d);
                        let at = one.at(0, h, 0);
                        let dx = &mut image[at..at + line];
                        for (((dx, &x), &plain), &sum) in dx.iter_mut().zip(row(shape.x, x, n, h)).zip(plain).zip(&*d) {
                            *dx = plain - factor * x * sum;
                        }
                        mask_row(mask, n, h, dx);
                    }
                },
            );
        });
    });
}

/// First part of the gradient, dy d^-beta, and the terms of the second part's sum.
#[inline(always)]
fn backward_row<const FAST: bool>(beta: f32, (x, d, dy): (&[f32], &[f32], &[f32]), plain: &mut [f32], terms: &mut [f32]) {
    let len = plain.len();
    let (x, d, dy, terms) = (&x[..len], &d[..len], &dy[..len], &mut terms[..len]);
    for i in 0..len {
        let (power, next) = negative_and_next::<FAST>(d[i], beta);
        plain[i] = dy[i] * power;
        terms[i] = dy[i] * x[i] * next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feature_map::Sides;
    use crate::isa::Isa;
    use crate::rows::testing::{assert_near, border, check_differences, contexts, inside, inside_of, random};

    fn shapes() -> Vec<Shape> {
        let mut all = Vec::new();
        for (i, (h, w, c)) in [(1, 1, 3), (3, 2, 19), (4, 5, 16), (9, 6, 5), (2, 7, 35)].into_iter().enumerate() {
            for n in [1, 3, 5] {
                for beta in [0.75, 0.5] {
                    let x = FeatureMap { n: 1 + i % 3, h, w, c, border: border(i + n) };
                    all.push(Shape { x, n, alpha: 0.2, beta, k: 1.0 });
                }
            }
        }
        all
    }

    #[test]
    fn matches_reference() {
        for (i, shape) in shapes().into_iter().enumerate() {
            let with = |i| FeatureMap { border: border(i), ..shape.x };
            let (y_map, dx_map, dy_map) = (with(i), with(i + 1), with(i + 2));
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
        for (i, shape) in shapes().into_iter().enumerate() {
            let shape = Shape { x: FeatureMap { border: Sides::default(), ..shape.x }, ..shape };
            let (x, dy) =
                (inside(shape.x, &random(shape.x, i as u64, 3.0)), inside(shape.x, &random(shape.x, 50 + i as u64, 1.0)));
            let gradient = reference::backward(&shape, &x, &dy);
            check_differences(&format!("{shape:?}"), &x, &dy, &gradient, |x| reference::forward(&shape, x));
        }
    }

    #[test]
    fn known_numbers() {
        // All ones, 3 x 3 pixels, window 3: 9 ones in the middle, 6 at edges, 4 in corners; k = 7 makes d = 16 in the middle.
        let shape = Shape { x: FeatureMap::plain(1, 3, 3, 1), n: 3, alpha: 1.0, beta: 0.75, k: 7.0 };
        let mut y = [0.0; 9];
        forward(&Context::serial(Isa::detect()), &shape, &[1.0; 9], shape.x, &mut y);
        let (corner, edge) = (11f32.powf(-0.75), 13f32.powf(-0.75));
        let expected = [corner, edge, corner, edge, 0.125, edge, corner, edge, corner];
        assert!(y.iter().zip(expected).all(|(y, e)| (y - e).abs() < 1e-7), "{y:?}");
    }
}

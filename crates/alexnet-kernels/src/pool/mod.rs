//! Pooling: the maximum or mean of windows of pixels, per channel.
//!
//! Window (p, q) starts at pixel (p stride - top, q stride - left) of the map; parts of windows outside the map are ignored.
//!
//! Backward passes gather: each pixel of the input gradient sums over the few windows that cover it. Rows are therefore
//! independent, and every value is written once.

pub mod adaptive;
pub mod average;
pub mod max;
mod means;
pub mod reference;
mod span;

use crate::feature_map::{FeatureMap, Sides};
use span::Span;

/// Shape of a pooling layer with square windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    /// The input's map; its border is not read.
    pub x: FeatureMap,
    /// Rows and columns of a window.
    pub kernel: usize,
    /// Stride in both directions.
    pub stride: usize,
    /// Padding that windows may cover.
    pub pad: Sides,
    /// Output rows.
    pub p: usize,
    /// Output columns.
    pub q: usize,
}

impl Shape {
    /// Output map with the given border.
    pub fn y(&self, border: Sides) -> FeatureMap {
        FeatureMap { n: self.x.n, h: self.p, w: self.q, c: self.x.c, border }
    }

    /// Extent of each row of windows.
    pub(crate) fn rows(&self) -> Vec<Span> {
        span::fixed(self.p, self.kernel, self.stride, (self.pad.top, self.pad.bottom), self.x.h)
    }

    /// Extent of each column of windows.
    pub(crate) fn columns(&self) -> Vec<Span> {
        span::fixed(self.q, self.kernel, self.stride, (self.pad.left, self.pad.right), self.x.w)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::Context;
    use crate::rows::testing::{assert_near, border, check_differences, contexts, fill, inside, inside_of, random};

    /// Sizes 1 to 9, strides below, at and above the kernel, overhanging windows, one-sided padding, odd channel counts.
    pub(super) fn shapes() -> Vec<Shape> {
        let mut all = Vec::new();
        for (i, (kernel, stride)) in [(3, 2), (2, 2), (3, 1), (2, 3), (1, 1), (4, 3), (3, 3)].into_iter().enumerate() {
            for (h, w) in [(1, 4), (3, 3), (6, 7), (9, 5), (8, 8)] {
                for pad in [Sides::default(), Sides { top: 1, left: 0, bottom: 0, right: 1 }] {
                    if kernel == 1 && pad != Sides::default() {
                        continue;
                    }
                    let count = |size: usize, before: usize| (size + before).saturating_sub(kernel).div_ceil(stride) + 1;
                    let reach = |size, before| {
                        let count = count(size, before);
                        if (count - 1) * stride >= size + before { count - 1 } else { count }
                    };
                    let x =
                        FeatureMap { n: 1 + (h + i) % 3, h, w, c: [1, 7, 16, 19, 35][(i + h + w) % 5], border: border(i + h) };
                    all.push(Shape { x, kernel, stride, pad, p: reach(h, pad.top), q: reach(w, pad.left) });
                }
            }
        }
        all
    }

    /// Values with many ties, to test "the first of the largest".
    fn coarse(map: FeatureMap, key: u64) -> Vec<f32> {
        let mut x = random(map, key, 2.0);
        x.iter_mut().for_each(|v| *v = v.round());
        x
    }

    #[test]
    fn max_matches_reference() {
        for (i, shape) in shapes().into_iter().enumerate() {
            let x = coarse(shape.x, i as u64);
            let (expected, expected_winners) = reference::max_forward(&shape, &inside_of(shape.x, &x));
            let (y_map, dx_map, dy_map) =
                (shape.y(border(i)), FeatureMap { border: border(i + 1), ..shape.x }, shape.y(border(i + 2)));
            let dy = random(dy_map, 100 + i as u64, 1.0);
            for context in contexts() {
                let what = format!("{shape:?} {}", context.isa);
                let (mut y, mut winners) = (vec![f32::NAN; y_map.len()], vec![77u8; expected.len()]);
                max::forward(&context, &shape, &x, y_map, &mut y, None);
                assert_eq!(inside(y_map, &y), expected, "{what}");
                y.fill(f32::NAN);
                max::forward(&context, &shape, &x, y_map, &mut y, Some(&mut winners));
                assert_eq!(inside(y_map, &y), expected, "{what}");
                assert_eq!(winners, expected_winners, "{what}");

                for masked in [false, true] {
                    let mask = masked.then_some((shape.x, &x[..]));
                    let mut gradient = reference::max_backward(&shape, &inside_of(dy_map, &dy), &winners);
                    if masked {
                        reference::mask(&mut gradient, &inside_of(shape.x, &x));
                    }
                    let mut dx = vec![f32::NAN; dx_map.len()];
                    max::backward(&context, &shape, dy_map, &dy, &winners, mask, dx_map, &mut dx);
                    assert_near(&what, &inside(dx_map, &dx), &gradient, 5e-7);
                }
            }
        }
    }

    #[test]
    fn average_matches_reference() {
        for (i, shape) in shapes().into_iter().enumerate() {
            let x = random(shape.x, i as u64, 2.0);
            let expected = reference::average_forward(&shape, &inside_of(shape.x, &x));
            let (y_map, dx_map, dy_map) =
                (shape.y(border(i)), FeatureMap { border: border(i + 1), ..shape.x }, shape.y(border(i + 2)));
            let dy = random(dy_map, 100 + i as u64, 1.0);
            for context in contexts() {
                let what = format!("{shape:?} {}", context.isa);
                let mut y = vec![f32::NAN; y_map.len()];
                average::forward(&context, &shape, &x, y_map, &mut y);
                assert_near(&what, &inside(y_map, &y), &expected, 1e-6);
                for masked in [false, true] {
                    let mut gradient = reference::average_backward(&shape, &inside_of(dy_map, &dy));
                    if masked {
                        reference::mask(&mut gradient, &inside_of(shape.x, &x));
                    }
                    let mut dx = vec![f32::NAN; dx_map.len()];
                    average::backward(&context, &shape, dy_map, &dy, masked.then_some((shape.x, &x[..])), dx_map, &mut dx);
                    assert_near(&what, &inside(dx_map, &dx), &gradient, 1e-6);
                }
            }
        }
    }

    #[test]
    fn adaptive_matches_reference() {
        for (i, (h, w, p, q)) in
            [(6, 6, 6, 6), (1, 1, 6, 6), (7, 9, 6, 6), (13, 12, 6, 6), (5, 3, 2, 4), (8, 8, 1, 1), (4, 9, 9, 4)]
                .into_iter()
                .enumerate()
        {
            let x_map = FeatureMap { n: 2, h, w, c: [19, 1, 40][i % 3], border: border(i) };
            let (y_map, dx_map) =
                (FeatureMap { h: p, w: q, border: border(i + 1), ..x_map }, FeatureMap { border: border(i + 2), ..x_map });
            let dy_map = FeatureMap { border: border(i + 3), ..y_map };
            let (x, dy) = (random(x_map, i as u64, 2.0), random(dy_map, 100 + i as u64, 1.0));
            let (x64, dy64) = (inside_of(x_map, &x), inside_of(dy_map, &dy));
            let mut gradient = reference::adaptive_backward(x_map, (p, q), &dy64);
            check_differences(&format!("{x_map:?}"), &x64, &dy64, &gradient, |x| reference::adaptive_forward(x_map, (p, q), x));
            reference::mask(&mut gradient, &x64);
            for context in contexts() {
                let what = format!("{x_map:?} to {p} x {q} {}", context.isa);
                let mut y = vec![f32::NAN; y_map.len()];
                adaptive::forward(&context, x_map, &x, y_map, &mut y);
                assert_near(&what, &inside(y_map, &y), &reference::adaptive_forward(x_map, (p, q), &x64), 1e-6);
                let mut dx = vec![f32::NAN; dx_map.len()];
                adaptive::backward(&context, x_map, dy_map, &dy, Some((x_map, &x)), dx_map, &mut dx);
                assert_near(&what, &inside(dx_map, &dx), &gradient, 1e-6);
            }
        }
    }

    #[test]
    fn gradients_match_differences() {
        for (i, shape) in shapes().into_iter().enumerate().filter(|(_, shape)| shape.x.c < 19) {
            let x = inside_of(shape.x, &random(shape.x, i as u64, 2.0));
            let dy = inside_of(shape.y(Sides::default()), &random(shape.y(Sides::default()), 100 + i as u64, 1.0));
            let (_, winners) = reference::max_forward(&shape, &x);
            let max = reference::max_backward(&shape, &dy, &winners);
            check_differences(&format!("max {shape:?}"), &x, &dy, &max, |x| reference::max_forward(&shape, x).0);
            let average = reference::average_backward(&shape, &dy);
            check_differences(&format!("average {shape:?}"), &x, &dy, &average, |x| reference::average_forward(&shape, x));
        }
    }

    #[test]
    fn known_numbers() {
        // PyTorch, x = [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12], [13, 14, 15, 16]].
        let map = FeatureMap::plain(1, 4, 4, 1);
        let mut x = vec![0.0; 16];
        fill(map, &mut x, |i| i as f32 + 1.0);
        let context = Context::serial(crate::isa::Isa::detect());
        let run = |shape: Shape| {
            let mut y = vec![0.0; shape.p * shape.q];
            average::forward(&context, &shape, &x, shape.y(Sides::default()), &mut y);
            y
        };
        let one = Sides { top: 1, left: 1, bottom: 1, right: 1 };
        // avg_pool2d(x, 3, 2, padding=1): the padding counts, so each mean divides by 9.
        let shape = Shape { x: map, kernel: 3, stride: 2, pad: one, p: 2, q: 2 };
        assert_eq!(run(shape), [14.0 / 9.0, 30.0 / 9.0, 57.0 / 9.0, 11.0]);
        // avg_pool2d(x, 3, 2, ceil_mode=True): the overhang does not count.
        let shape = Shape { x: map, kernel: 3, stride: 2, pad: Sides::default(), p: 2, q: 2 };
        assert_eq!(run(shape), [6.0, 7.5, 12.0, 13.5]);
        // avg_pool2d(x, 3, 2, padding=1, ceil_mode=True): the last window is clipped to 2 x 2, padding included.
        let shape = Shape { x: map, kernel: 3, stride: 2, pad: one, p: 3, q: 3 };
        assert_eq!(run(shape)[8], 16.0 / 4.0);
        // adaptive_avg_pool2d(x, 3): windows 0..2, 1..3, 2..4.
        let mut y = vec![0.0; 9];
        adaptive::forward(&context, map, &x, FeatureMap::plain(1, 3, 3, 1), &mut y);
        assert_eq!(y, [3.5, 4.5, 5.5, 7.5, 8.5, 9.5, 11.5, 12.5, 13.5]);
        // max_pool2d(-x, 2, 2, padding=1): zeros in the padding would win.
        let negative: Vec<f32> = x.iter().map(|v| -v).collect();
        let shape = Shape { x: map, kernel: 2, stride: 2, pad: one, p: 3, q: 3 };
        let (mut y, mut winners) = (vec![0.0; 9], vec![0; 9]);
        max::forward(&context, &shape, &negative, shape.y(Sides::default()), &mut y, Some(&mut winners));
        assert_eq!(y, [-1.0, -2.0, -4.0, -5.0, -6.0, -8.0, -13.0, -14.0, -16.0]);
        assert_eq!(winners, [3, 2, 2, 1, 0, 0, 1, 0, 0]);
    }

    #[test]
    fn max_shows_not_a_number() {
        for at in 0..9 {
            let mut x = vec![1.0; 9 * 16];
            x[at * 16 + 3] = f32::NAN;
            let shape = Shape { x: FeatureMap::plain(1, 3, 3, 16), kernel: 3, stride: 2, pad: Sides::default(), p: 1, q: 1 };
            for context in contexts() {
                let (mut y, mut winners) = (vec![0.0; 16], vec![0; 16]);
                max::forward(&context, &shape, &x, shape.y(Sides::default()), &mut y, Some(&mut winners));
                assert!(y[3].is_nan() && y[2] == 1.0 && winners[3] == at as u8 && winners[2] == 0);
                max::forward(&context, &shape, &x, shape.y(Sides::default()), &mut y, None);
                assert!(y[3].is_nan() && y[2] == 1.0);
            }
        }
    }
}

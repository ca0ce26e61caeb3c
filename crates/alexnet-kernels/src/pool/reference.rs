//! Reference pooling and gradients in f64. Maps are plain [N, H, W, C] without a border.

use super::Shape;
use crate::feature_map::FeatureMap;

/// Calls `visit(output index, position in the window, input index)` for each pixel on the map of each window, in order.
fn walk(shape: &Shape, mut visit: impl FnMut(usize, usize, usize)) {
    let (x, y) = (FeatureMap { border: Default::default(), ..shape.x }, shape.y(Default::default()));
    for n in 0..x.n {
        for p in 0..shape.p {
            for q in 0..shape.q {
                for r in 0..shape.kernel {
                    for s in 0..shape.kernel {
                        let (h, w) = (p * shape.stride + r, q * shape.stride + s);
                        if h < shape.pad.top || w < shape.pad.left || h >= shape.pad.top + x.h || w >= shape.pad.left + x.w {
                            continue;
                        }
                        for c in 0..x.c {
                            let pixel = x.at(n, h - shape.pad.top, w - shape.pad.left);
                            visit(y.at(n, p, q) + c, r * shape.kernel + s, pixel + c);
                        }
                    }
                }
            }
        }
    }
}

/// Outputs, and the positions of the maxima in their windows. See [`max::forward`](super::max::forward).
pub fn max_forward(shape: &Shape, x: &[f64]) -> (Vec<f64>, Vec<u8>) {
    let len = shape.y(Default::default()).len();
    let (mut y, mut winners) = (vec![f64::NEG_INFINITY; len], vec![0; len]);
    walk(shape, |at, place, pixel| {
        if x[pixel] > y[at] {
            (y[at], winners[at]) = (x[pixel], place as u8);
        }
    });
    (y, winners)
}

/// See [`max::backward`](super::max::backward).
pub fn max_backward(shape: &Shape, dy: &[f64], winners: &[u8]) -> Vec<f64> {
    let mut dx = vec![0.0; FeatureMap { border: Default::default(), ..shape.x }.len()];
    walk(shape, |at, place, pixel| {
        if usize::from(winners[at]) == place {
            dx[pixel] += dy[at];
        }
    });
    dx
}

/// Number of pixels in the window of output `at` that lie on the map or its padding.
fn pixels(shape: &Shape, at: usize) -> f64 {
    let (p, q) = (at / shape.x.c / shape.q % shape.p, at / shape.x.c % shape.q);
    let count = |first: usize, padded: usize| (first..first + shape.kernel).filter(|&i| i < padded).count();
    let rows = count(p * shape.stride, shape.pad.top + shape.x.h + shape.pad.bottom);
    (rows * count(q * shape.stride, shape.pad.left + shape.x.w + shape.pad.right)) as f64
}

/// See [`average::forward`](super::average::forward).
pub fn average_forward(shape: &Shape, x: &[f64]) -> Vec<f64> {
    let mut y = vec![0.0; shape.y(Default::default()).len()];
    walk(shape, |at, _, pixel| y[at] += x[pixel] / pixels(shape, at));
    y
}

/// See [`average::backward`](super::average::backward).
pub fn average_backward(shape: &Shape, dy: &[f64]) -> Vec<f64> {
    let mut dx = vec![0.0; FeatureMap { border: Default::default(), ..shape.x }.len()];
    walk(shape, |at, _, pixel| dx[pixel] += dy[at] / pixels(shape, at));
    dx
}

/// Calls `visit(output index, input index, pixels of the window)` for each pixel of each window that tiles the map.
fn walk_tiles(x: FeatureMap, (p, q): (usize, usize), mut visit: impl FnMut(usize, usize, f64)) {
    let (x, y) = (FeatureMap { border: Default::default(), ..x }, FeatureMap::plain(x.n, p, q, x.c));
    // floor(i H / P) and ceil((i + 1) H / P), in rounded fractions.
    let window = |i: usize, extent: usize, count: usize| {
        let share = |i: usize| (i * extent) as f64 / count as f64;
        share(i).floor() as usize..share(i + 1).ceil() as usize
    };
    for n in 0..x.n {
        for i in 0..p {
            for j in 0..q {
                let (rows, columns) = (window(i, x.h, p), window(j, x.w, q));
                for h in rows.clone() {
                    for w in columns.clone() {
                        for c in 0..x.c {
                            visit(y.at(n, i, j) + c, x.at(n, h, w) + c, (rows.len() * columns.len()) as f64);
                        }
                    }
                }
            }
        }
    }
}

/// See [`adaptive::forward`](super::adaptive::forward).
pub fn adaptive_forward(x_map: FeatureMap, out: (usize, usize), x: &[f64]) -> Vec<f64> {
    let mut y = vec![0.0; x_map.n * out.0 * out.1 * x_map.c];
    walk_tiles(x_map, out, |at, pixel, pixels| y[at] += x[pixel] / pixels);
    y
}

/// See [`adaptive::backward`](super::adaptive::backward).
pub fn adaptive_backward(x_map: FeatureMap, out: (usize, usize), dy: &[f64]) -> Vec<f64> {
    let mut dx = vec![0.0; x_map.n * x_map.h * x_map.w * x_map.c];
    walk_tiles(x_map, out, |at, pixel, pixels| dx[pixel] += dy[at] / pixels);
    dx
}

/// Zeroes the gradient of zero outputs of a ReLU.
pub fn mask(dx: &mut [f64], x: &[f64]) {
    for (dx, &x) in dx.iter_mut().zip(x) {
        if x <= 0.0 {
            *dx = 0.0;
        }
    }
}

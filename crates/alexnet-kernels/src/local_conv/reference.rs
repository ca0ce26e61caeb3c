//! Reference layer and gradients in f64. Maps are plain [N, H, W, C] without a border, weights [places, K, C, R, S].

use super::Shape;
use crate::feature_map::{FeatureMap, Sides};

/// Calls `visit` with the indices of the input, weight, bias and output of every product that is not with padding.
fn walk(shape: &Shape, mut visit: impl FnMut(usize, usize, usize, usize)) {
    let (x, y) = (FeatureMap { border: Sides::default(), ..shape.x }, shape.y(Sides::default()));
    for n in 0..x.n {
        for p in 0..y.h {
            for q in 0..y.w {
                for k in 0..y.c {
                    let output = (p * y.w + q) * y.c + k;
                    for c in 0..x.c {
                        for r in 0..shape.r {
                            for s in 0..shape.s {
                                let (row, column) = (p * shape.stride + r, q * shape.stride + s);
                                let (top, left) = (shape.pad.top, shape.pad.left);
                                if (top..top + x.h).contains(&row) && (left..left + x.w).contains(&column) {
                                    let weight = ((output * x.c + c) * shape.r + r) * shape.s + s;
                                    visit(x.at(n, row - top, column - left) + c, weight, output, y.at(n, p, q) + k);
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// See [`forward`](super::forward).
pub fn forward(shape: &Shape, x: &[f64], w: &[f64], bias: &[f64]) -> Vec<f64> {
    let mut y = bias.repeat(shape.x.n);
    walk(shape, |x_at, w_at, _, y_at| y[y_at] += x[x_at] * w[w_at]);
    y
}

/// See [`backward_data`](super::backward_data).
pub fn backward_data(shape: &Shape, dy: &[f64], w: &[f64]) -> Vec<f64> {
    let mut dx = vec![0.0; shape.x.n * shape.x.h * shape.x.w * shape.x.c];
    walk(shape, |x_at, w_at, _, y_at| dx[x_at] += dy[y_at] * w[w_at]);
    dx
}

/// See [`backward_weights`](super::backward_weights).
pub fn backward_weights(shape: &Shape, x: &[f64], dy: &[f64]) -> Vec<f64> {
    let mut dw = vec![0.0; shape.filters().len()];
    walk(shape, |x_at, w_at, _, y_at| dw[w_at] += x[x_at] * dy[y_at]);
    dw
}

/// See [`backward_biases`](super::backward_biases).
pub fn backward_biases(shape: &Shape, dy: &[f64]) -> Vec<f64> {
    let outputs = shape.places() * shape.k;
    (0..outputs).map(|i| dy.iter().skip(i).step_by(outputs).sum()).collect()
}

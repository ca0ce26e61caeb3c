//! Reference LRN and gradient in f64. Maps are plain [N, H, W, C] without a border.

use super::Shape;

/// Channels around `i`, an index into the whole map, within its column of channels.
fn around(shape: &Shape, i: usize) -> std::ops::Range<usize> {
    let part = shape.x.c / shape.columns;
    let (first, half) = (i / part * part, shape.n / 2);
    i.saturating_sub(half).max(first)..(i + half + 1).min(first + part)
}

/// d of every value.
fn denominators(shape: &Shape, x: &[f64]) -> Vec<f64> {
    let d = |i| f64::from(shape.k) + f64::from(shape.alpha) * x[around(shape, i)].iter().map(|x| x * x).sum::<f64>();
    (0..x.len()).map(d).collect()
}

/// See [`forward`](super::forward).
pub fn forward(shape: &Shape, x: &[f64]) -> Vec<f64> {
    x.iter().zip(denominators(shape, x)).map(|(x, d)| x * d.powf(-f64::from(shape.beta))).collect()
}

/// See [`backward`](super::backward).
pub fn backward(shape: &Shape, x: &[f64], dy: &[f64]) -> Vec<f64> {
    let (d, alpha, beta) = (denominators(shape, x), f64::from(shape.alpha), f64::from(shape.beta));
    let gradient = |i: usize| {
        let sum: f64 = around(shape, i).map(|j| dy[j] * x[j] * d[j].powf(-beta - 1.0)).sum();
        dy[i] * d[i].powf(-beta) - 2.0 * alpha * beta * x[i] * sum
    };
    (0..x.len()).map(gradient).collect()
}

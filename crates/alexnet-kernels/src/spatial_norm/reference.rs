//! Reference normalisation and gradient in f64. Maps are plain [N, H, W, C] without a border.

use super::Shape;
use crate::feature_map::FeatureMap;

/// The sum of `value(j)` over the pixels j around each index i, in the same map.
fn window_sums(shape: &Shape, value: impl Fn(usize) -> f64) -> Vec<f64> {
    let (map, half) = (FeatureMap { border: Default::default(), ..shape.x }, shape.n / 2);
    let mut sums = Vec::with_capacity(map.len());
    for n in 0..map.n {
        for h in 0..map.h {
            for w in 0..map.w {
                for c in 0..map.c {
                    let mut sum = 0.0;
                    for r in h.saturating_sub(half)..=(h + half).min(map.h - 1) {
                        for s in w.saturating_sub(half)..=(w + half).min(map.w - 1) {
                            sum += value(map.at(n, r, s) + c);
                        }
                    }
                    sums.push(sum);
                }
            }
        }
    }
    sums
}

/// d of every value.
fn denominators(shape: &Shape, x: &[f64]) -> Vec<f64> {
    let sums = window_sums(shape, |i| x[i] * x[i]);
    sums.into_iter().map(|sum| f64::from(shape.k) + f64::from(shape.alpha) * sum).collect()
}

/// See [`forward`](super::forward).
pub fn forward(shape: &Shape, x: &[f64]) -> Vec<f64> {
    x.iter().zip(denominators(shape, x)).map(|(x, d)| x * d.powf(-f64::from(shape.beta))).collect()
}

/// See [`backward`](super::backward).
pub fn backward(shape: &Shape, x: &[f64], dy: &[f64]) -> Vec<f64> {
    let (d, alpha, beta) = (denominators(shape, x), f64::from(shape.alpha), f64::from(shape.beta));
    let sums = window_sums(shape, |j| dy[j] * x[j] * d[j].powf(-beta - 1.0));
    (0..x.len()).map(|i| dy[i] * d[i].powf(-beta) - 2.0 * alpha * beta * x[i] * sums[i]).collect()
}

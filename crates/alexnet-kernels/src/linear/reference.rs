//! Reference linear layers and gradients, summed in f64.

use super::Shape;

fn dot(terms: usize, term: impl Fn(usize) -> (f32, f32)) -> f32 {
    let products = (0..terms).map(|i| {
        let (a, b) = term(i);
        f64::from(a) * f64::from(b)
    });
    products.sum::<f64>() as f32
}

/// See [`forward`](super::forward).
pub fn forward(shape: &Shape, x: &[f32], w: &[f32], bias: &[f32], relu: bool, y: &mut [f32]) {
    let (filters, Shape { n, inputs, outputs }) = (shape.filters(), *shape);
    for n in 0..n {
        for o in 0..outputs {
            let sum = dot(inputs, |i| (x[n * inputs + i], w[filters.packed_index(o, i, 0, 0)])) + bias[o];
            y[n * outputs + o] = if relu { sum.max(0.0) } else { sum };
        }
    }
}

/// See [`backward_data`](super::backward_data).
pub fn backward_data(shape: &Shape, dy: &[f32], w: &[f32], mask: Option<&[f32]>, dx: &mut [f32]) {
    let (filters, Shape { n, inputs, outputs }) = (shape.filters(), *shape);
    for n in 0..n {
        for i in 0..inputs {
            let pass = mask.is_none_or(|mask| mask[n * inputs + i] > 0.0);
            let sum = dot(outputs, |o| (dy[n * outputs + o], w[filters.packed_index(o, i, 0, 0)]));
            dx[n * inputs + i] = if pass { sum } else { 0.0 };
        }
    }
}

/// See [`backward_weights`](super::backward_weights).
pub fn backward_weights(shape: &Shape, x: &[f32], dy: &[f32], dw: &mut [f32]) {
    let (filters, Shape { n, inputs, outputs }) = (shape.filters(), *shape);
    dw.fill(0.0);
    for o in 0..outputs {
        for i in 0..inputs {
            dw[filters.packed_index(o, i, 0, 0)] = dot(n, |n| (dy[n * outputs + o], x[n * inputs + i]));
        }
    }
}

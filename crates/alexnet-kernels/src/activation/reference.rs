//! Reference activation functions and gradients in f64.

use super::Function;

/// See [`forward`](super::forward).
pub fn forward(function: Function, x: &[f64]) -> Vec<f64> {
    let value = |x: &f64| match function {
        Function::Relu => x.max(0.0),
        Function::Tanh => x.tanh(),
        Function::Sigmoid => 1.0 / (1.0 + (-x).exp()),
    };
    x.iter().map(value).collect()
}

/// See [`backward`](super::backward).
pub fn backward(function: Function, y: &[f64], dy: &[f64]) -> Vec<f64> {
    let slope = |y: f64| match function {
        Function::Relu => f64::from(y > 0.0),
        Function::Tanh => 1.0 - y * y,
        Function::Sigmoid => y * (1.0 - y),
    };
    y.iter().zip(dy).map(|(&y, &dy)| dy * slope(y)).collect()
}

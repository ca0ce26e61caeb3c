//! Comparison of two reports within the tolerance of f32 arithmetic.

use std::collections::BTreeMap;

use super::{Report, Tell};
use crate::net::{Activation, Net, Op};

/// Tolerances of a report relative to its reference, as fractions of each tensor's l2 norm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    /// Activations, probabilities and the first loss, which no ReLU derivative affects.
    pub values: f64,
    /// Gradients.
    pub gradients: f64,
    /// Changes by three steps, and relative to those the losses after one and two of them.
    pub updates: f64,
}

impl Bounds {
    /// Tolerance of another summation order.
    pub const DIRECT: Bounds = Bounds { values: 1e-4, gradients: 1e-4, updates: 1e-3 };

    /// Tolerance of Winograd convolutions, or of another library's summation order, in a net with ReLUs and max pools.
    ///
    /// One convolution deviates by [`WINOGRAD_ERROR`](alexnet_kernels::conv::WINOGRAD_ERROR) of its output's norm, five in a row
    /// by 5e-6 of it. ReLU and max pool are continuous, so activations keep the bound of direct convolutions. Their slopes jump:
    /// of units with a normal density around zero, a fraction of 2 x 0.4 x 5e-6 passes a ReLU that it would not pass in exact
    /// arithmetic. With many units, that changes a gradient by sqrt(4e-6) = 2e-3 of its norm. A case of two images has one such
    /// unit or none; one of the 10,000 units that carry a gradient behind the last pool carries 1e-2 of its norm, seldom 3e-2. (A
    /// correct engine can therefore deviate by 150 times [`DIRECT`](Self::DIRECT)'s bound, while a wrong kernel deviates by the
    /// whole norm.) The three steps have large rates and amplify a deviation five times.
    ///
    /// Errors hidden by this bound show in the [`smooth`] twin of a net, which has no such units and keeps to `DIRECT`.
    pub const WHERE_SLOPES_JUMP: Bounds = Bounds { gradients: 3e-2, updates: 0.15, ..Bounds::DIRECT };
}

/// The net with tanh instead of ReLU and average instead of max pooling: nothing in it jumps, so two engines with different
/// rounding stay as close in gradients as in values.
pub fn smooth(net: &Net) -> Net {
    let mut net = net.clone().with_activation(Activation::Tanh);
    for layer in &mut net.layers {
        if let Op::MaxPool { kernel, stride, pad, rounding } = layer.op {
            layer.op = Op::AvgPool { kernel, stride, pad, rounding };
        }
    }
    net
}

/// Rounding error of a change of w, the difference of two rounded values: multiplied by the square root of the number of weights.
const ROUNDING: f64 = 1e-8;

/// Deviation of one quantity from its reference.
#[derive(Debug, Clone, PartialEq)]
pub struct Deviation {
    /// Name of the quantity, such as `gradients conv1.weight`.
    pub what: String,
    /// Deviation divided by the tolerance: above 1 is wrong.
    pub ratio: f64,
}

/// The largest of the deviations, as a multiple of the tolerance: up to 1, the report equals its reference.
pub fn largest(deviations: &[Deviation]) -> f64 {
    deviations.iter().map(|deviation| deviation.ratio).fold(0.0, f64::max)
}

/// Compares everything in `reference` with `report`; missing quantities and wrong shapes have infinite deviation.
pub fn compare(report: &Report, reference: &Report, bounds: &Bounds) -> Vec<Deviation> {
    let mut all = Vec::new();
    let mut add =
        |what: String, ratio: f64| all.push(Deviation { what, ratio: if ratio.is_nan() { f64::INFINITY } else { ratio } });
    add("parameters".into(), if report.parameters == reference.parameters { 0.0 } else { f64::INFINITY });
    let lists = [
        ("loss", &report.losses, &reference.losses),
        ("probability", &report.probabilities_first, &reference.probabilities_first),
    ];
    for (name, found, expected) in lists {
        for (i, value) in expected.iter().enumerate() {
            let found = found.get(i).copied().unwrap_or(f64::NAN);
            // Steps propagate the gradients' deviation into later losses, if a deviation is allowed at all.
            let learned = if name == "loss" && bounds.gradients > bounds.values { bounds.updates } else { 0.0 };
            let allowed = bounds.values * value.abs() + learned * (value - expected[0]).abs();
            add(format!("{name} {i}"), (found - value).abs() / allowed);
        }
    }
    let values = |l2: f64, _: usize| bounds.values * l2;
    let gradients = |l2: f64, _: usize| bounds.gradients * l2;
    let updates = |l2: f64, len: usize| bounds.updates * l2 + ROUNDING * (len as f64).sqrt();
    tensors(&mut add, "activation", &report.activations, &reference.activations, values);
    tensors(&mut add, "gradient", &report.gradients, &reference.gradients, gradients);
    tensors(&mut add, "update", &report.update, &reference.update, updates);
    all
}

fn tensors(
    add: &mut impl FnMut(String, f64),
    kind: &str,
    found: &BTreeMap<String, Tell>,
    expected: &BTreeMap<String, Tell>,
    allowed: impl Fn(f64, usize) -> f64,
) {
    for (name, expected) in expected {
        let ratio = match found.get(name) {
            Some(found) if found.shape == expected.shape => {
                let apart = (found.l2 - expected.l2).abs().max((found.probe - expected.probe).abs());
                apart / allowed(expected.l2, expected.shape.iter().product())
            }
            _ => f64::INFINITY,
        };
        add(format!("{kind} {name}"), ratio);
    }
}

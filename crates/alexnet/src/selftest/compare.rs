//! How far two reports are apart, against what f32 arithmetic allows.

use std::collections::BTreeMap;

use super::{Report, Tell};

/// Of activations' and gradients' l2 norm: what summing in another order may change.
const VALUES: f64 = 1e-4;
/// Of an update's l2 norm.
const UPDATES: f64 = 1e-3;
/// A change of w is the difference of two rounded values: this times the square root of the number of weights.
const ROUNDING: f64 = 1e-8;

/// How far one quantity is from its reference.
#[derive(Debug, Clone, PartialEq)]
pub struct Deviation {
    /// What was compared, such as `gradients conv1.weight`.
    pub what: String,
    /// The deviation divided by what is allowed: above 1 is wrong.
    pub ratio: f64,
}

/// Compares everything in `reference` with `report`; missing quantities and wrong shapes are infinitely far.
pub fn compare(report: &Report, reference: &Report) -> Vec<Deviation> {
    let mut all = Vec::new();
    let mut add =
        |what: String, ratio: f64| all.push(Deviation { what, ratio: if ratio.is_nan() { f64::INFINITY } else { ratio } });
    add("parameters".into(), if report.parameters == reference.parameters { 0.0 } else { f64::INFINITY });
    let lists = [
        ("loss", &report.losses, &reference.losses),
        ("probability", &report.probabilities_first, &reference.probabilities_first),
    ];
    for (name, found, expected) in lists {
        for (i, expected) in expected.iter().enumerate() {
            let found = found.get(i).copied().unwrap_or(f64::NAN);
            add(format!("{name} {i}"), (found - expected).abs() / (VALUES * expected.abs()));
        }
    }
    let values = |l2: f64, _: usize| VALUES * l2;
    let updates = |l2: f64, len: usize| UPDATES * l2 + ROUNDING * (len as f64).sqrt();
    tensors(&mut add, "activation", &report.activations, &reference.activations, values);
    tensors(&mut add, "gradient", &report.gradients, &reference.gradients, values);
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

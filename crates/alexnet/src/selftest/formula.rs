//! Formula for the weights and images of the self-test.
//!
//! ```text
//! value(seed, i) = (2 u - 1) scale,   u = (z >> 40) / 2^24
//! z = seed + (i + 1) 0x9E3779B97F4A7C15, then SplitMix64's finaliser, modulo 2^64
//! ```
//!
//! Tensor number t of a case uses the seed `1000 seed + t`: conv1.weight is 0, conv1.bias 1, conv2.weight 2 and so on; the
//! images are 100. i runs over the tensor in row-major order of its canonical shape.

use alexnet_kernels::random::Key;
use rayon::prelude::*;

use crate::net::{LayerShape, Net, Op};
use crate::{Result, engine::ParameterStore};

/// Number of the tensor that holds the images.
const IMAGES: u64 = 100;
/// Offset of a batch norm's running mean and variance in the numbering, which the Python script lacks.
const STATISTICS: u64 = 200;

/// The first `len` values of a seed.
pub fn uniform(seed: u64, len: usize, scale: f64) -> Vec<f32> {
    let value = |i: usize| {
        let u = (Key(seed).bits(i as u64) >> 40) as f64 / (1u64 << 24) as f64;
        ((2.0 * u - 1.0) * scale) as f32
    };
    (0..len).into_par_iter().map(value).collect()
}

/// The seed of tensor number `t` of a case.
pub fn seed_of(case: u64, t: u64) -> u64 {
    case.wrapping_mul(1000).wrapping_add(t)
}

/// Whether a net normalises responses, over channels or within maps. Such nets get larger images, so that the normalisation has an effect, and smaller
/// conv3 weights, so that the logits stay small.
pub fn has_lrn(net: &Net) -> bool {
    net.layers.iter().any(|layer| matches!(layer.op, Op::Lrn { .. } | Op::SpatialNorm { .. }))
}

/// Layers with parameters, in order: their names and shapes.
pub fn with_parameters(net: &Net) -> Result<Vec<LayerShape>> {
    Ok(net.shapes()?.into_iter().filter(|shape| !shape.weight.is_empty()).collect())
}

/// Sets every parameter: weights at scale sqrt(3 / fan_in), biases at 0.1, a batch norm's running means at scale 0.5, and its
/// running variances equally spread around 1.
///
/// # Errors
/// An engine error.
pub fn set_parameters(engine: &mut dyn ParameterStore, case: u64) -> Result<()> {
    let net = engine.net().clone();
    let lrn = has_lrn(&net);
    for (i, shape) in with_parameters(&net)?.iter().enumerate() {
        let fan_in = shape.fan_in() as f64;
        let scale = (3.0 / fan_in).sqrt() * if lrn && shape.name == "conv3" { 0.1 } else { 1.0 };
        let t = 2 * i as u64;
        let weights = uniform(seed_of(case, t), shape.weight.iter().product(), scale);
        engine.set_parameter(&format!("{}.weight", shape.name), &weights)?;
        engine
            .set_parameter(&format!("{}.bias", shape.name), &uniform(seed_of(case, t + 1), shape.bias().iter().product(), 0.1))?;
        if shape.statistics > 0 {
            let [mean, change] = [0, 1].map(|i| uniform(seed_of(case, STATISTICS + t + i), shape.statistics, 0.5));
            let variance: Vec<f32> = change.iter().map(|change| 1.0 + change).collect();
            engine.set_parameter(&format!("{}.running_mean", shape.name), &mean)?;
            engine.set_parameter(&format!("{}.running_var", shape.name), &variance)?;
        }
    }
    Ok(())
}

/// Images of a case, [batch, 3, size, size].
pub fn images(net: &Net, case: u64, batch: usize) -> Vec<f32> {
    let scale = if has_lrn(net) { 30.0 } else { 2.0 };
    uniform(seed_of(case, IMAGES), batch * 3 * net.image_size * net.image_size, scale)
}

/// Labels of a case: image n has class (7 n + 3) mod classes.
pub fn labels(batch: usize, classes: usize) -> Vec<u32> {
    (0..batch).map(|n| ((7 * n + 3) % classes) as u32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_match_the_python_formula() {
        // Printed by make_golden.py's uniform(1000, 3, 1.0) and uniform(1900, 2, 0.5).
        assert_eq!(uniform(1000, 3, 1.0), PYTHON_1000);
        assert_eq!(uniform(1900, 2, 0.5), PYTHON_1900);
    }

    #[allow(clippy::excessive_precision)] // as Python prints them
    const PYTHON_1000: [f32; 3] = [-0.5303122997283936, 0.6287418603897095, 0.5468266010284424];
    #[allow(clippy::excessive_precision)]
    const PYTHON_1900: [f32; 2] = [0.1567288637161255, 0.3039560914039612];
}

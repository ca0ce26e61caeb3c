//! Parameter initialisation.

use alexnet_kernels::random::Key;
use rayon::prelude::*;

use super::ParameterStore;
use crate::net::{BiasInit, LayerShape, Net, Op, WeightInit};
use crate::{Error, Result};

/// Initialises every parameter as its layer specifies. The values depend only on the seed, the layer and the value's
/// index.
///
/// # Errors
/// Those of [`ParameterStore::set_parameter`].
pub fn initialise(engine: &mut dyn ParameterStore, seed: u64) -> Result<()> {
    let net: Net = engine.net().clone();
    for (i, (layer, shape)) in net.layers.iter().zip(net.shapes()?).enumerate() {
        if let Op::BatchNorm { .. } = layer.op {
            for (part, value) in [("weight", 1.0), ("bias", 0.0), ("running_mean", 0.0), ("running_var", 1.0)] {
                engine.set_parameter(&format!("{}.{part}", layer.name), &vec![value; shape.statistics])?;
            }
        }
        let Some((weights, biases)) = values(&layer.op, &shape, i, seed) else { continue };
        engine.set_parameter(&format!("{}.weight", layer.name), &weights)?;
        engine.set_parameter(&format!("{}.bias", layer.name), &biases)?;
    }
    Ok(())
}

/// Initial weights and biases of one layer, by its index: those that [`initialise`] sets.
///
/// # Errors
/// A layer without weights, or a net that cannot be built.
pub fn initial_values(net: &Net, layer: usize, seed: u64) -> Result<(Vec<f32>, Vec<f32>)> {
    let shapes = net.shapes()?;
    let found = net.layers.get(layer).zip(shapes.get(layer)).and_then(|(l, shape)| values(&l.op, shape, layer, seed));
    found.ok_or_else(|| Error::Net(format!("{}: layer {layer} has no weights", net.name)))
}

fn values(op: &Op, shape: &LayerShape, layer: usize, seed: u64) -> Option<(Vec<f32>, Vec<f32>)> {
    let (Op::Conv { weight_init, bias_init, .. }
    | Op::LocalConv { weight_init, bias_init, .. }
    | Op::Linear { weight_init, bias_init, .. }) = *op
    else {
        return None;
    };
    let key = Key(seed).with(layer as u64);
    Some((weights(weight_init, shape, key.with(0)), biases(bias_init, shape, key.with(1))))
}

/// Number of inputs of one output.
fn fan_in(shape: &LayerShape) -> f32 {
    shape.fan_in() as f32
}

/// Number of outputs of one input: those of one kernel position, as Paddle and PyTorch count them.
fn fan_out(shape: &LayerShape) -> f32 {
    // The last axis of the biases counts the outputs of a place; it is followed by that of the inputs.
    let axes = shape.bias().len();
    (shape.weight[axes - 1] * shape.weight[axes + 1..].iter().product::<usize>()) as f32
}

fn weights(init: WeightInit, shape: &LayerShape, key: Key) -> Vec<f32> {
    let len = shape.weight.iter().product();
    match init {
        WeightInit::Normal(deviation) => fill(len, |i| deviation * key.normal(i)),
        WeightInit::TruncatedNormal(deviation) => fill(len, |i| deviation * truncated_normal(key, i)),
        WeightInit::UniformFanIn => uniform(len, 1.0 / fan_in(shape).sqrt(), key),
        WeightInit::Uniform(bound) => uniform(len, bound, key),
        WeightInit::HeNormal => {
            let deviation = (2.0 / fan_in(shape)).sqrt();
            fill(len, |i| deviation * key.normal(i))
        }
        WeightInit::XavierUniform => uniform(len, (6.0 / (fan_in(shape) + fan_out(shape))).sqrt(), key),
    }
}

fn biases(init: BiasInit, shape: &LayerShape, key: Key) -> Vec<f32> {
    let len = shape.bias().iter().product();
    match init {
        BiasInit::Constant(value) => vec![value; len],
        BiasInit::UniformFanIn => uniform(len, 1.0 / fan_in(shape).sqrt(), key),
        BiasInit::Uniform(bound) => uniform(len, bound, key),
    }
}

fn uniform(len: usize, bound: f32, key: Key) -> Vec<f32> {
    fill(len, |i| (2.0 * key.uniform(i) - 1.0) * bound)
}

/// The first of value i's random normal numbers that lies within two standard deviations; one in 22 is redrawn.
fn truncated_normal(key: Key, i: u64) -> f32 {
    let own = key.with(i);
    let mut tries = (0..64).map(|t| own.normal(t));
    tries.find(|v| v.abs() <= 2.0).unwrap_or(0.0)
}

/// Runs on all cores, because 61 million normal numbers take a second on one thread.
fn fill(len: usize, value: impl Fn(u64) -> f32 + Sync) -> Vec<f32> {
    (0..len).into_par_iter().map(|i| value(i as u64)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Shape;

    fn moments(values: &[f32]) -> (f64, f64, f32) {
        let n = values.len() as f64;
        let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
        let variance = values.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / n;
        (mean, variance.sqrt(), values.iter().fold(0.0, |m, v| v.abs().max(m)))
    }

    #[test]
    fn deviations_and_bounds_match_the_formulas() {
        let shape = LayerShape {
            name: "conv".into(),
            input: Shape { channels: 32, size: 9 },
            output: Shape { channels: 64, size: 9 },
            weight: vec![64, 32, 5, 5], // fan_in 800, fan_out 1600
            parameters: 0,
            statistics: 0,
            macs: 0,
        };
        // Each: init, expected deviation, bound.
        let root_3 = 3f64.sqrt();
        for (init, deviation, bound) in [
            (WeightInit::Normal(0.01), 0.01, f32::INFINITY),
            (WeightInit::TruncatedNormal(0.005), 0.005 * 0.8796, 0.01),
            (WeightInit::UniformFanIn, 1.0 / 800f64.sqrt() / root_3, 1.0 / 800f32.sqrt()),
            (WeightInit::Uniform(0.25), 0.25 / root_3, 0.25),
            (WeightInit::HeNormal, (2.0 / 800f64).sqrt(), f32::INFINITY),
            (WeightInit::XavierUniform, (6.0 / 2400f64).sqrt() / root_3, (6.0 / 2400f32).sqrt()),
        ] {
            let (mean, found, largest) = moments(&weights(init, &shape, Key(5)));
            assert!(mean.abs() < deviation * 0.02, "{init:?}: mean {mean}");
            assert!((found / deviation - 1.0).abs() < 0.01, "{init:?}: deviation {found}, not {deviation}");
            assert!(largest <= bound, "{init:?}: {largest} exceeds {bound}");
        }
    }
}

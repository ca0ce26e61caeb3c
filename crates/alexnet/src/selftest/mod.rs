//! Self-test of engines against PyTorch, with weights and images from a formula.
//!
//! No files are needed for weights and images: [`formula`] generates the same ones everywhere. A [`Report`] contains the
//! activations, loss, gradients and three training steps that an engine computes from them; [`golden`] holds PyTorch 2.15's
//! results.

mod case;
mod compare;
pub mod formula;
pub mod golden;

pub use case::{Case, run};
pub use compare::{Bounds, Deviation, compare, largest, smooth};

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Results of an engine for a case. The fields have the same meaning in the golden files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Name of the net.
    #[serde(deserialize_with = "crate::net::presets::deserialize_name")]
    pub net: String,
    /// Seed of weights and images.
    pub seed: u64,
    /// Number of images.
    pub batch: usize,
    /// Number of classes.
    pub classes: usize,
    /// Rows and columns of the images.
    pub input_size: usize,
    /// Engine that computed the report.
    pub framework: String,
    /// Weights and biases.
    pub parameters: usize,
    /// Activations without dropout: `convN` before the activation function, `normN`, `spatialN` as output by those layers,
    /// `poolN`, `fc6` and `fc7` after the activation function that follows, if any, `fc8` the logits.
    pub activations: BTreeMap<String, Tell>,
    /// Softmax probabilities of the first image's first classes, at most 8.
    pub probabilities_first: Vec<f64>,
    /// Mean cross-entropy before each of three steps.
    pub losses: Vec<f64>,
    /// Gradients of the mean loss before the first step, by parameter, except biases directly before a batch norm.
    pub gradients: BTreeMap<String, Tell>,
    /// Changes by three steps, by parameter: w after them minus w before.
    pub update: BTreeMap<String, Tell>,
}

/// Summary of a tensor in a few numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tell {
    /// Shape of the tensor.
    pub shape: Vec<usize>,
    /// Mean of its values.
    pub mean: f64,
    /// Square root of the sum of their squares.
    pub l2: f64,
    /// Its first values, at most 8.
    pub first: Vec<f64>,
    /// Dot product with the formula's values at scale 1.
    pub probe: f64,
}

impl Tell {
    /// Summarises `values`, in row-major order, with the probe of the given seed.
    pub fn new(shape: &[usize], values: &[f32], seed: u64) -> Tell {
        let sum = |f: &dyn Fn(f64) -> f64| values.iter().map(|&v| f(f64::from(v))).sum::<f64>();
        let probe = formula::uniform(seed, values.len(), 1.0);
        Tell {
            shape: shape.to_vec(),
            mean: sum(&|v| v) / values.len() as f64,
            l2: sum(&|v| v * v).sqrt(),
            first: values.iter().take(8).map(|&v| f64::from(v)).collect(),
            probe: values.iter().zip(&probe).map(|(&v, &p)| f64::from(v) * f64::from(p)).sum(),
        }
    }
}

//! Checks an engine against PyTorch: weights and images made by a formula, and what comes of them.
//!
//! Weights and images need no file: [`formula`] makes the same ones everywhere. A [`Report`] tells the activations, the loss,
//! the gradients and three steps of training that an engine makes of them; [`golden`] holds what PyTorch 2.15 made.

mod case;
mod compare;
pub mod formula;
pub mod golden;

pub use case::{Case, run};
pub use compare::{Bounds, Deviation, compare, smooth};

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What an engine makes of a case. A field's meaning is the same in the golden files.
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
    /// Who computed it.
    pub framework: String,
    /// Weights and biases.
    pub parameters: usize,
    /// Activations with dropout off: `convN` before the activation function, `normN`, `spatialN` as they leave those layers,
    /// `poolN`, `fc6` and `fc7` after the activation function that follows, if one does, `fc8` the logits.
    pub activations: BTreeMap<String, Tell>,
    /// Softmax probabilities of the first image's first classes, at most 8.
    pub probabilities_first: Vec<f64>,
    /// Mean cross-entropy before each of three steps.
    pub losses: Vec<f64>,
    /// Gradients of the mean loss before the first step, by parameter, but for biases right before a batch norm.
    pub gradients: BTreeMap<String, Tell>,
    /// What three steps change, by parameter: w after them less w before.
    pub update: BTreeMap<String, Tell>,
}

/// A tensor, told in a few numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tell {
    /// Its shape.
    pub shape: Vec<usize>,
    /// Mean of its values.
    pub mean: f64,
    /// Square root of the sum of their squares.
    pub l2: f64,
    /// The first of them, at most 8.
    pub first: Vec<f64>,
    /// Dot product with the formula's values at scale 1.
    pub probe: f64,
}

impl Tell {
    /// Tells `values`, row-major, with the probe of the given seed.
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

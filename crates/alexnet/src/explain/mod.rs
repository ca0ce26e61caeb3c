//! Visual explanations: filters, activations, gradients, heatmaps, and images that activate a unit most.
//!
//! Each method has its own file with a function over an [`Inspection`](crate::engine::Inspection) that returns numbers, and code that draws them. Equal input gives
//! equal bits; randomness (smoothed gradients) follows from a seed.

pub mod activations;
pub mod cam;
pub mod filters;
mod heatmap;
pub mod mistakes;
pub mod occlusion;
pub mod saliency;
pub mod top_activations;
mod view;

pub use heatmap::Heatmap;
pub use view::View;

use crate::class_match::match_names;
use crate::engine::Inference;
use crate::predict::{ClassScore, top_k};
use crate::{Error, Result};

/// Resolves a class given by name (or WordNet identifier) or, if no class has that name, by number from 0.
///
/// # Errors
/// Neither matches; the message lists classes.
pub fn class(wanted: &str, classes: &[String]) -> Result<usize> {
    if let Some(index) = classes.iter().position(|name| name == wanted) {
        return Ok(index);
    }
    if let Some(index) = match_names(&[wanted.to_string()], classes)[0] {
        return Ok(index);
    }
    if let Some(index) = wanted.parse::<usize>().ok().filter(|&index| index < classes.len()) {
        return Ok(index);
    }
    const MOST: usize = 12;
    let mut some = classes.iter().take(MOST).map(String::as_str).collect::<Vec<_>>().join(", ");
    if classes.len() > MOST {
        some += &format!(", ... ({} in total, or a number below that)", classes.len());
    }
    Err(Error::Invalid(format!("no class {wanted}; available: {some}")))
}

/// Scores of all classes for one tensor `[3, size, size]`, the most probable first.
///
/// # Errors
/// An engine error.
pub fn scores(engine: &mut dyn Inference, tensor: &[f32]) -> Result<Vec<ClassScore>> {
    let mut logits = Vec::new();
    engine.infer(tensor, &mut logits)?;
    Ok(top_k(&logits, logits.len(), logits.len()))
}

/// Gradient seed for [`Inspection::layer_gradient`]: 1 for `class` of each of `n` images.
fn one_class(class: usize, classes: usize, n: usize) -> Result<Vec<f32>> {
    if class >= classes {
        return Err(Error::Invalid(format!("class {class} is out of range: the net has {classes} classes, numbered from 0")));
    }
    let mut weights = vec![0.0; n * classes];
    weights.iter_mut().skip(class).step_by(classes).for_each(|weight| *weight = 1.0);
    Ok(weights)
}

#[cfg(test)]
mod tests;

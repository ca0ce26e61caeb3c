//! Input validation with the same messages for every engine.

use crate::net::Net;
use crate::{Error, Result};

/// Number of images `[n, 3, size, size]` in `images`.
///
/// # Errors
/// Images of another size, or none.
pub fn image_count(net: &Net, images: &[f32]) -> Result<usize> {
    let size = net.image_size;
    let len = 3 * size * size;
    if images.is_empty() {
        return Err(Error::Net(format!("no images: expected a multiple of 3 x {size} x {size} values")));
    }
    if !images.len().is_multiple_of(len) {
        return Err(Error::Net(format!("expected a multiple of 3 x {size} x {size} values, got {}", images.len())));
    }
    Ok(images.len() / len)
}

/// Checks that `n` images and their labels fit an engine for batches of `capacity`.
///
/// # Errors
/// Too many images, another number of labels, or a label out of range.
pub fn check_batch(n: usize, labels: &[u32], classes: usize, capacity: usize) -> Result<()> {
    if n != labels.len() || n > capacity {
        let labels = labels.len();
        return Err(Error::Net(format!("{n} images with {labels} labels do not fit an engine with batch size {capacity}")));
    }
    match labels.iter().find(|&&label| label as usize >= classes) {
        Some(label) => Err(Error::Net(format!("label {label} is out of range for a net of {classes} classes"))),
        None => Ok(()),
    }
}

/// Checks that there is a weight for each logit of `n` images.
///
/// # Errors
/// Another number of weights.
pub fn check_logit_weights(n: usize, classes: usize, weights: &[f32]) -> Result<()> {
    if weights.len() == n * classes {
        return Ok(());
    }
    let given = weights.len();
    Err(Error::Net(format!("{given} weights for the logits of {n} images and {classes} classes")))
}

//! What goes into an engine, checked: one set of words for every engine.

use crate::net::Net;
use crate::{Error, Result};

/// Number of pictures `[n, 3, size, size]` in `images`.
///
/// # Errors
/// Not the net's pictures, or none.
pub fn pictures(net: &Net, images: &[f32]) -> Result<usize> {
    let size = net.image_size;
    let len = 3 * size * size;
    if images.is_empty() || !images.len().is_multiple_of(len) {
        return Err(Error::Net(format!("{} values are no pictures of 3 x {size} x {size}", images.len())));
    }
    Ok(images.len() / len)
}

/// Checks that `n` pictures to learn from fit an engine for batches of `capacity`.
///
/// # Errors
/// Too many pictures, another number of labels, or a label that is no class.
pub fn to_learn_from(n: usize, labels: &[u32], classes: usize, capacity: usize) -> Result<()> {
    if n != labels.len() || n > capacity {
        let labels = labels.len();
        return Err(Error::Net(format!("{n} pictures with {labels} labels in an engine for batches of {capacity}")));
    }
    match labels.iter().find(|&&label| label as usize >= classes) {
        Some(label) => Err(Error::Net(format!("label {label}, but the net knows only {classes} classes"))),
        None => Ok(()),
    }
}

/// Checks that there is a weight for each logit of `n` pictures.
///
/// # Errors
/// Another number of them.
pub fn weights_of_logits(n: usize, classes: usize, weights: &[f32]) -> Result<()> {
    if weights.len() == n * classes {
        return Ok(());
    }
    let given = weights.len();
    Err(Error::Net(format!("{given} weights for the logits of {n} pictures and {classes} classes")))
}

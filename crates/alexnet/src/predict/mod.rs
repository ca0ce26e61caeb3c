//! What a model sees in an image.

use crate::engine::Engine;
use crate::eval::{log_probabilities, ranking};
use crate::image::{Image, Preprocess, crop};
use crate::{Error, Result};

/// One answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClassScore {
    /// Number of the class.
    pub index: usize,
    /// Its probability, 0 to 1.
    pub probability: f64,
}

/// The `top` most probable classes of each image, best first. `crops` is 1 (the centre) or 10 (the paper's: corners and
/// centre, mirrored, softmax averaged). All images go through the engine at once.
///
/// # Errors
/// From the engine, or another number of crops.
pub fn predict(
    engine: &mut dyn Engine,
    pictures: &[Image],
    preprocess: &Preprocess,
    crops: usize,
    top: usize,
) -> Result<Vec<Vec<ClassScore>>> {
    if pictures.is_empty() {
        return Ok(Vec::new());
    }
    let mut images = Vec::new();
    for picture in pictures {
        crop_tensors(picture, preprocess, crops, &mut images)?;
    }
    let mut logits = Vec::new();
    engine.infer(&images, &mut logits)?;
    let classes = logits.len() / (pictures.len() * crops);
    Ok(logits.chunks_exact(crops * classes).map(|logits| top_k(logits, classes, top)).collect())
}

/// Adds what the network sees of an image, `[crops, 3, crop, crop]`, to `images`: 1 crop or 10.
///
/// # Errors
/// Another number of crops.
pub fn crop_tensors(picture: &Image, preprocess: &Preprocess, crops: usize, images: &mut Vec<f32>) -> Result<()> {
    let size = preprocess.crop;
    let resized = preprocess.resize.apply(picture);
    let (h, w) = (resized.height, resized.width);
    let windows = match crops {
        1 => vec![crop::centre(h, w, size)],
        10 => crop::ten(h, w, size).to_vec(),
        _ => return Err(Error::Invalid(format!("{crops} crops: there can be 1 or 10"))),
    };
    let begin = images.len();
    images.resize(begin + crops * 3 * size * size, 0.0);
    for (window, out) in windows.into_iter().zip(images[begin..].chunks_exact_mut(3 * size * size)) {
        preprocess.tensor(&resized, window, None, out);
    }
    Ok(())
}

/// The `top` most probable of an image's classes, best first, from the logits of its crops, `[crops, classes]`.
pub fn top_k(logits: &[f32], classes: usize, top: usize) -> Vec<ClassScore> {
    let scores = log_probabilities(logits, classes);
    ranking(&scores).into_iter().take(top).map(|index| ClassScore { index, probability: scores[index].exp() }).collect()
}

//! What a model sees in a picture.

use crate::engine::Engine;
use crate::eval::{log_probabilities, ranking};
use crate::image::{Picture, Preprocess, crop};
use crate::{Error, Result};

/// One answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Guess {
    /// Number of the class.
    pub index: usize,
    /// Its probability, 0 to 1.
    pub probability: f64,
}

/// The `top` most probable classes of each picture, best first. `crops` is 1 (the centre) or 10 (the paper's: corners and
/// centre, mirrored, softmax averaged). All pictures go through the engine at once.
///
/// # Errors
/// From the engine, or another number of crops.
pub fn predict(
    engine: &mut dyn Engine,
    pictures: &[Picture],
    preprocess: &Preprocess,
    crops: usize,
    top: usize,
) -> Result<Vec<Vec<Guess>>> {
    if crops != 1 && crops != 10 {
        return Err(Error::Invalid(format!("{crops} crops: there can be 1 or 10")));
    }
    if pictures.is_empty() {
        return Ok(Vec::new());
    }
    let size = preprocess.crop;
    let mut images = vec![0.0; pictures.len() * crops * 3 * size * size];
    let mut places = images.chunks_exact_mut(3 * size * size);
    for picture in pictures {
        let resized = preprocess.resize.apply(picture);
        let (h, w) = (resized.height, resized.width);
        let windows = if crops == 10 { crop::ten(h, w, size).to_vec() } else { vec![crop::centre(h, w, size)] };
        for (window, out) in windows.into_iter().zip(&mut places) {
            preprocess.tensor(&resized, window, None, out);
        }
    }
    let mut logits = Vec::new();
    engine.infer(&images, &mut logits)?;
    let classes = logits.len() / (pictures.len() * crops);
    let guesses = |logits: &[f32]| {
        let scores = log_probabilities(logits, classes);
        ranking(&scores).into_iter().take(top).map(|index| Guess { index, probability: scores[index].exp() }).collect()
    };
    Ok(logits.chunks_exact(crops * classes).map(guesses).collect())
}

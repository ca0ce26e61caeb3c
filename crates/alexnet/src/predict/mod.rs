//! Class scores from the logits of an image's crops.

use crate::image::crop::Crops;
use crate::image::{Image, Preprocess};

/// A class and its probability.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClassScore {
    /// Index of the class.
    pub index: usize,
    /// Probability, 0 to 1.
    pub probability: f64,
}

/// Adds what the network sees of an image, `[crops, 3, crop, crop]`, to `tensor`.
pub fn crop_tensors(image: &Image, preprocess: &Preprocess, crops: Crops, tensor: &mut Vec<f32>) {
    let begin = tensor.len();
    tensor.resize(begin + crops.count() * 3 * preprocess.crop * preprocess.crop, 0.0);
    image.resized_as(preprocess.resize).crops(preprocess, crops, &mut tensor[begin..]);
}

/// The `k` most probable of an image's classes, best first, from the logits of its crops, `[crops, classes]`.
pub fn top_k(logits: &[f32], classes: usize, k: usize) -> Vec<ClassScore> {
    let scores = log_probabilities(logits, classes);
    ranking(&scores).into_iter().take(k).map(|index| ClassScore { index, probability: scores[index].exp() }).collect()
}

/// Logarithms of the softmax outputs of `[crops, classes]` logits, averaged over crops before the logarithm.
pub(crate) fn log_probabilities(logits: &[f32], classes: usize) -> Vec<f64> {
    let crops = logits.len() / classes;
    let mut sum = vec![0.0f64; classes];
    for crop in logits.chunks_exact(classes) {
        let largest = crop.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let all: f64 = crop.iter().map(|&l| f64::from(l - largest).exp()).sum();
        let norm = f64::from(largest) + all.ln();
        if crops == 1 {
            // Exact even where the probability would be 0.
            return crop.iter().map(|&l| f64::from(l) - norm).collect();
        }
        sum.iter_mut().zip(crop).for_each(|(sum, &l)| *sum += (f64::from(l) - norm).exp());
    }
    // Below the smallest f64 no logarithm is left: 745 nats is as wrong as can be told.
    sum.iter().map(|&sum| (sum / crops as f64).max(f64::MIN_POSITIVE).ln()).collect()
}

/// Classes in order of their score, the best first; equal scores in the order of the classes.
pub(crate) fn ranking(scores: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    order
}

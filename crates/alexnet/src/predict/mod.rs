//! Class scores from the logits of an image's crops, and classification of streams of images.

pub mod stream;

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

/// Appends the crops of an image as network input, `[crops, 3, crop, crop]`, to `tensor`.
pub fn crop_tensors(image: &Image, preprocess: &Preprocess, crops: Crops, tensor: &mut Vec<f32>) {
    let begin = tensor.len();
    tensor.resize(begin + crops.count() * 3 * preprocess.crop * preprocess.crop, 0.0);
    image.resized_as(preprocess.resize).crops(preprocess, crops, &mut tensor[begin..]);
}

/// The `k` most probable classes of an image, best first, from the logits of its crops, `[crops, classes]`.
pub fn top_k(logits: &[f32], classes: usize, k: usize) -> Vec<ClassScore> {
    let scores = log_probabilities(logits, classes);
    ranking(&scores).into_iter().take(k).map(|index| ClassScore { index, probability: scores[index].exp() }).collect()
}

/// Log-probabilities from `[crops, classes]` logits, averaged over crops before the logarithm.
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
    // The logarithm of 0 is infinite, so the loss is capped at 708 nats.
    sum.iter().map(|&sum| (sum / crops as f64).max(f64::MIN_POSITIVE).ln()).collect()
}

/// Joins several models' outputs for a batch, each `[images, row]`, to `[images, models, row]`, whose rows per image
/// [`top_k`] averages as it does those of crops.
pub fn interleave(models: &[Vec<f32>], row: usize) -> Vec<f32> {
    if let [logits] = models {
        return logits.clone();
    }
    let images = models.first().map_or(0, |logits| logits.len() / row.max(1));
    (0..images).flat_map(|i| models.iter().flat_map(move |logits| &logits[i * row..][..row])).copied().collect()
}

/// Class indices sorted by score, the best first; equal scores in class order.
pub(crate) fn ranking(scores: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    order
}

//! Training losses beyond plain cross-entropy: label smoothing, class weights, focal loss and mixed labels.
//!
//! The target of an image is a distribution t over the classes: all on its label, or shared between two labels by
//! mixup or CutMix. Smoothing by e turns it into (1 - e) t + e / classes. The image's loss is
//!
//! sum_c w_c t_c (1 - p_c)^gamma (-ln p_c),
//!
//! with the class weights w and the focal exponent gamma. Without gamma these are the formulas of
//! `torch.nn.CrossEntropyLoss`; with it, those of Lin et al. 2017 ("Focal loss for dense object detection") over a softmax. All
//! arithmetic is in f64.

use super::{Loss, largest, per_image, rank};
use crate::context::Context;

/// Settings of the training loss; the default is plain cross-entropy.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Criterion {
    /// Label smoothing: the share of every target that is spread over all classes; 0: none.
    pub smoothing: f64,
    /// Focal exponent gamma, which reduces the loss of images that are already classified well; 0: none.
    pub focal: f64,
    /// Weight of each class; empty: all 1.
    pub class_weights: Vec<f32>,
}

/// Second label of an image that was mixed from two, as by mixup or CutMix.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MixedLabel {
    /// The second label.
    pub label: u32,
    /// Its share of the target, 0 to 1; the image's first label has the rest.
    pub share: f32,
}

/// Labels of a batch.
#[derive(Debug, Clone, Copy)]
pub struct Targets<'a> {
    /// Label of each image; the first one of mixed images.
    pub labels: &'a [u32],
    /// Second label of each image; empty if no image is mixed.
    pub mixed: &'a [MixedLabel],
}

impl Targets<'_> {
    /// Both labels of image `i` with their shares.
    fn of(&self, i: usize) -> [(usize, f64); 2] {
        let first = self.labels[i] as usize;
        match self.mixed.get(i) {
            Some(second) => [(first, 1.0 - f64::from(second.share)), (second.label as usize, f64::from(second.share))],
            None => [(first, 1.0), (first, 0.0)],
        }
    }

    /// The label with the larger share of image `i`; of equal shares the first.
    pub fn dominant(&self, i: usize) -> usize {
        let [(first, a), (second, b)] = self.of(i);
        if b > a { second } else { first }
    }
}

impl Criterion {
    /// Whether it is plain cross-entropy.
    pub fn is_plain(&self) -> bool {
        self.smoothing == 0.0 && self.focal == 0.0 && self.class_weights.is_empty()
    }

    /// Weight of a class.
    pub fn class_weight(&self, class: usize) -> f64 {
        self.class_weights.get(class).map_or(1.0, |&weight| f64::from(weight))
    }

    /// The divisor that makes the sum of some images' losses their mean, as in PyTorch: the sum of the weights of their
    /// labels, or the number of images if labels are mixed.
    pub fn divisor(&self, targets: Targets<'_>) -> f64 {
        let n = targets.labels.len() as f64;
        if self.class_weights.is_empty() || !targets.mixed.is_empty() {
            return n;
        }
        targets.labels.iter().map(|&label| self.class_weight(label as usize)).sum()
    }
}

/// Computes the loss of `logits` [n, classes] and optionally its gradient times `scale`; see the module. The counts of
/// [`Loss`] refer to the label with the larger share. NaN logits make the sum NaN, and no prediction correct.
///
/// # Panics
/// When a label is not below `classes`, or a slice is too short.
pub fn cross_entropy(
    context: &Context<'_>,
    classes: usize,
    logits: &[f32],
    targets: Targets<'_>,
    criterion: &Criterion,
    scale: f64,
    dlogits: Option<&mut [f32]>,
) -> Loss {
    let Targets { labels, mixed } = targets;
    let (n, len) = (labels.len(), labels.len() * classes);
    assert!(logits.len() >= len, "{} logits for {n} images and {classes} classes", logits.len());
    assert!(mixed.is_empty() || mixed.len() == n, "{} second labels for {n} images", mixed.len());
    let weights = criterion.class_weights.len();
    assert!(weights == 0 || weights == classes, "{weights} class weights for {classes} classes");
    let all = labels.iter().copied().chain(mixed.iter().map(|second| second.label));
    if let Some(label) = all.into_iter().find(|&label| label as usize >= classes) {
        panic!("label {label}, but there are {classes} classes");
    }
    per_image(context, (n, classes), logits, dlogits, |i, logits, gradient| {
        let sum = one(logits, targets.of(i), criterion, scale, gradient);
        let rank = rank(logits, targets.dominant(i));
        Loss { sum, correct: usize::from(rank == 0), correct5: usize::from(rank < 5) }
    })
}

/// Loss and gradient of one image.
fn one(logits: &[f32], labels: [(usize, f64); 2], criterion: &Criterion, scale: f64, gradient: Option<&mut [f32]>) -> f64 {
    let (max, smoothing) = (f64::from(largest(logits)), criterion.smoothing);
    let sum: f64 = logits.iter().map(|&z| (f64::from(z) - max).exp()).sum();
    let (ln_sum, spread) = (sum.ln(), smoothing / logits.len() as f64);
    // The probability of class c, its loss, and p_c times the derivative of its loss with respect to p_c.
    let term = |c: usize| -> (f64, f64, f64) {
        let shifted = f64::from(logits[c]) - max;
        let own: f64 = labels.iter().filter(|(label, _)| *label == c).map(|(_, share)| share).sum();
        let weight = criterion.class_weight(c) * ((1.0 - smoothing) * own + spread);
        let (p, ln_p) = (shifted.exp() / sum, shifted - ln_sum);
        if criterion.focal == 0.0 {
            return (p, -weight * ln_p, -weight);
        }
        let gamma = criterion.focal;
        let rest = (1.0 - p).max(0.0);
        let factor = rest.powf(gamma);
        // ln p / (1 - p), which is -1 in the limit of p = 1.
        let ratio = if rest > 0.0 { ln_p / rest } else { -1.0 };
        (p, -weight * factor * ln_p, weight * factor * (gamma * p * ratio - 1.0))
    };
    let (loss, total) = (0..logits.len()).map(term).fold((0.0, 0.0), |sums, (_, loss, slope)| (sums.0 + loss, sums.1 + slope));
    if let Some(gradient) = gradient {
        for (c, gradient) in gradient.iter_mut().enumerate() {
            let (p, _, slope) = term(c);
            *gradient = ((slope - p * total) * scale) as f32;
        }
    }
    loss
}

#[cfg(test)]
mod tests;

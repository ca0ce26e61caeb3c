//! Reference softmax and cross-entropy in f64.

use super::criterion::{Criterion, Targets};

/// See [`softmax`](super::softmax).
pub fn softmax(classes: usize, logits: &[f64]) -> Vec<f64> {
    let one = |logits: &[f64]| {
        let max = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = logits.iter().map(|z| (z - max).exp()).sum();
        logits.iter().map(|z| (z - max).exp() / sum).collect::<Vec<_>>()
    };
    logits.chunks(classes).flat_map(one).collect()
}

/// The summed loss and (softmax - onehot) * scale. See [`softmax_cross_entropy`](super::softmax_cross_entropy).
pub fn softmax_cross_entropy(n: usize, classes: usize, logits: &[f64], labels: &[u32], scale: f64) -> (f64, Vec<f64>) {
    let mut gradient = softmax(classes, logits);
    let mut loss = 0.0;
    for i in 0..n {
        let (at, row) = (i * classes + labels[i] as usize, &logits[i * classes..(i + 1) * classes]);
        // -ln p = ln sum_j exp(z_j - z_label), whose terms fit into f64.
        loss += row.iter().map(|z| (z - logits[at]).exp()).sum::<f64>().ln();
        gradient[at] -= 1.0;
    }
    gradient.iter_mut().for_each(|g| *g *= scale);
    (loss, gradient)
}

/// The summed loss, of which [`cross_entropy`](super::criterion::cross_entropy) is the fast version, written down term by term.
pub fn cross_entropy(n: usize, classes: usize, logits: &[f64], targets: Targets<'_>, criterion: &Criterion) -> f64 {
    let mut loss = 0.0;
    for i in 0..n {
        let row = &logits[i * classes..(i + 1) * classes];
        let mut target = vec![criterion.smoothing / classes as f64; classes];
        let share = targets.mixed.get(i).map_or(0.0, |second| f64::from(second.share));
        target[targets.labels[i] as usize] += (1.0 - criterion.smoothing) * (1.0 - share);
        if let Some(second) = targets.mixed.get(i) {
            target[second.label as usize] += (1.0 - criterion.smoothing) * share;
        }
        let p = softmax(classes, row);
        for c in 0..classes {
            // -ln p = ln sum_j exp(z_j - z_c), whose terms fit into f64.
            let plain = row.iter().map(|z| (z - row[c]).exp()).sum::<f64>().ln();
            loss += criterion.class_weight(c) * target[c] * (1.0 - p[c]).powf(criterion.focal) * plain;
        }
    }
    loss
}

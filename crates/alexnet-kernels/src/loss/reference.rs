//! Reference softmax and cross-entropy in f64.

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

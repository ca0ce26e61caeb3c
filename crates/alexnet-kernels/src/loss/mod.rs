//! Softmax and cross-entropy.
//!
//! p_i = exp(z_i - max z) / sum_j exp(z_j - max z), loss = -ln p_label; sums in f64. [`criterion`] has the training losses with
//! further settings.

pub mod criterion;
pub mod reference;

use crate::context::Context;
use crate::executor::{DisjointSlices, for_each_chunk};

/// Loss and accuracy counts of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Loss {
    /// Sum of the images' cross-entropies, in nats.
    pub sum: f64,
    /// Images whose label has the largest logit; of equal ones the first counts as larger.
    pub correct: usize,
    /// Images with fewer than five logits larger than their label's.
    pub correct5: usize,
}

/// Computes the loss of `logits` [n, classes] and optionally its gradient times `scale`: (softmax - onehot) * scale. A scale of 1
/// / n gives the gradient of the mean loss. NaN logits make the sum NaN, and no prediction correct.
///
/// # Panics
/// When a label is not below `classes`, or a slice is too short.
pub fn softmax_cross_entropy(
    context: &Context<'_>,
    n: usize,
    classes: usize,
    logits: &[f32],
    labels: &[u32],
    scale: f32,
    dlogits: Option<&mut [f32]>,
) -> Loss {
    let len = n * classes;
    assert!(logits.len() >= len && labels.len() >= n, "{} logits and {} labels for {n} pictures", logits.len(), labels.len());
    if let Some(label) = labels[..n].iter().find(|&&label| label as usize >= classes) {
        panic!("label {label}, but there are {classes} classes");
    }
    per_image(context, (n, classes), logits, dlogits, |i, logits, gradient| one(logits, labels[i] as usize, scale, gradient))
}

/// Sum of the losses of `n` images, each computed by `one` from the image's number, logits and gradient.
fn per_image(
    context: &Context<'_>,
    (n, classes): (usize, usize),
    logits: &[f32],
    dlogits: Option<&mut [f32]>,
    one: impl Fn(usize, &[f32], Option<&mut [f32]>) -> Loss + Sync,
) -> Loss {
    // One loss per image, summed in order afterwards, so that the order of threads does not matter.
    let mut losses = vec![Loss::default(); n];
    let parts = DisjointSlices::new(&mut losses);
    let gradients = dlogits.map(|d| DisjointSlices::new(&mut d[..n * classes]));
    context.threads.run(n, &|i| {
        // SAFETY: each i is run once and has its own slot.
        let loss = unsafe { &mut parts.slice(i, 1)[0] };
        // SAFETY: as above.
        let gradient = gradients.map(|all| unsafe { all.slice(i * classes, classes) });
        *loss = one(i, &logits[i * classes..(i + 1) * classes], gradient);
    });
    losses.into_iter().fold(Loss::default(), Loss::and)
}

impl Loss {
    /// Loss and counts of both.
    fn and(self, other: Loss) -> Loss {
        Loss { sum: self.sum + other.sum, correct: self.correct + other.correct, correct5: self.correct5 + other.correct5 }
    }
}

/// Loss and gradient of one image.
fn one(logits: &[f32], label: usize, scale: f32, gradient: Option<&mut [f32]>) -> Loss {
    let max = largest(logits);
    let sum = match gradient {
        None => logits.iter().map(|&z| f64::from(z - max).exp()).sum::<f64>(),
        Some(gradient) => {
            let sum = exponentials(logits, max, gradient);
            let factor = f64::from(scale) / sum;
            for g in gradient.iter_mut() {
                *g = (f64::from(*g) * factor) as f32;
            }
            // p - 1 is computed from the other classes in f64: for p near 1, f32 would lose the difference.
            gradient[label] = ((f64::from(logits[label] - max).exp() - sum) * factor) as f32;
            sum
        }
    };
    let rank = rank(logits, label);
    Loss { sum: sum.ln() - f64::from(logits[label] - max), correct: usize::from(rank == 0), correct5: usize::from(rank < 5) }
}

/// Number of classes ranked before `label`.
fn rank(logits: &[f32], label: usize) -> usize {
    let own = logits[label];
    // Written so that a NaN label logit ranks below all others.
    logits.iter().enumerate().filter(|&(i, &z)| !(z < own || (z == own && i >= label))).count()
}

/// Writes exp(z - max) and returns their sum.
fn exponentials(logits: &[f32], max: f32, out: &mut [f32]) -> f64 {
    let mut sum = 0.0;
    for (out, &z) in out.iter_mut().zip(logits) {
        let value = f64::from(z - max).exp();
        *out = value as f32;
        sum += value;
    }
    sum
}

fn largest(logits: &[f32]) -> f32 {
    logits.iter().fold(f32::NEG_INFINITY, |a, &b| a.max(b))
}

/// Probabilities [n, classes] from logits of the same shape.
///
/// # Panics
/// When a slice is too short.
pub fn softmax(context: &Context<'_>, n: usize, classes: usize, logits: &[f32], probabilities: &mut [f32]) {
    let len = n * classes;
    assert!(logits.len() >= len, "{} logits for {n} pictures and {classes} classes", logits.len());
    if len == 0 {
        return;
    }
    for_each_chunk(context.threads, &mut probabilities[..len], classes, |i, out| {
        let logits = &logits[i * classes..(i + 1) * classes];
        let sum = exponentials(logits, largest(logits), out);
        for p in out {
            *p = (f64::from(*p) / sum) as f32;
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Key;
    use crate::rows::testing::{assert_near, check_differences, contexts};

    fn logits(len: usize, scale: f32) -> Vec<f32> {
        (0..len).map(|i| (Key(5).uniform(i as u64) - 0.5) * scale).collect()
    }

    fn wide(values: &[f32]) -> Vec<f64> {
        values.iter().map(|&v| f64::from(v)).collect()
    }

    #[test]
    fn matches_reference() {
        for (n, classes) in [(1, 1), (3, 4), (7, 10), (5, 1000)] {
            for scale in [1.0, 30.0, 300.0] {
                let z = logits(n * classes, scale);
                let labels: Vec<u32> = (0..n).map(|i| (7 * i as u32 + 3) % classes as u32).collect();
                let (expected, gradient) = reference::softmax_cross_entropy(n, classes, &wide(&z), &labels, 0.25);
                for context in contexts() {
                    let mut d = vec![f32::NAN; z.len()];
                    let with = softmax_cross_entropy(&context, n, classes, &z, &labels, 0.25, Some(&mut d));
                    assert_eq!(with, softmax_cross_entropy(&context, n, classes, &z, &labels, 0.25, None));
                    assert!((with.sum - expected).abs() <= 1e-6 * expected.abs(), "{with:?} {expected}");
                    assert_near("dlogits", &wide(&d), &gradient, 3e-6);
                    let mut p = vec![f32::NAN; z.len()];
                    softmax(&context, n, classes, &z, &mut p);
                    assert_near("softmax", &wide(&p), &reference::softmax(classes, &wide(&z)), 3e-6);
                }
            }
        }
    }

    #[test]
    fn gradient_matches_differences() {
        let (z, labels) = (wide(&logits(3 * 6, 4.0)), [5, 0, 2]);
        let (_, gradient) = reference::softmax_cross_entropy(3, 6, &z, &labels, 1.0);
        check_differences("cross-entropy", &z, &[1.0], &gradient, |z| {
            vec![reference::softmax_cross_entropy(3, 6, z, &labels, 1.0).0]
        });
    }

    #[test]
    fn known_numbers() {
        let run = |z: &[f32], label| softmax_cross_entropy(&contexts()[0], 1, z.len(), z, &[label], 1.0, None);
        // Equal logits: ln of the number of classes, and the first five classes count as ranks 1 to 5.
        assert!((run(&[3.0; 1000], 4).sum - 6.907_755_278_982_137).abs() < 1e-12);
        let ranks: Vec<_> = (0..7).map(|label| run(&[3.0; 7], label)).map(|l| (l.correct, l.correct5)).collect();
        assert_eq!(ranks, [(1, 1), (0, 1), (0, 1), (0, 1), (0, 1), (0, 0), (0, 0)]);
        // F.cross_entropy of [1, 2, 3] and 0: ln(1 + e + e^2) = 2.40760596.
        assert!((run(&[1.0, 2.0, 3.0], 0).sum - 2.407_605_964_444_38).abs() < 1e-12);
        // Huge logits neither overflow nor lose the loss.
        assert_eq!(run(&[1e4, -1e4], 1).sum, 2e4);
        assert_eq!(run(&[1e4, -1e4], 0).sum, 0.0);
    }

    #[test]
    fn not_a_number_is_never_correct() {
        for (at, label) in [(0, 0), (1, 0), (0, 5)] {
            let mut z = [0.0, 0.0, 0.0, 0.0, 0.0, 9.0];
            z[at] = f32::NAN;
            let loss = softmax_cross_entropy(&contexts()[0], 1, 6, &z, &[label], 1.0, None);
            assert!(loss.sum.is_nan() && loss.correct == 0, "{loss:?}");
        }
        let all = softmax_cross_entropy(&contexts()[0], 1, 6, &[f32::NAN; 6], &[0], 1.0, None);
        assert!(all.sum.is_nan() && all.correct == 0 && all.correct5 == 0, "{all:?}");
    }

    #[test]
    #[should_panic(expected = "label 3, but there are 3 classes")]
    fn refuses_a_label_beyond_the_classes() {
        softmax_cross_entropy(&contexts()[0], 1, 3, &[0.0; 3], &[3], 1.0, None);
    }
}

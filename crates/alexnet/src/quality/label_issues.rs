//! Likely wrong labels, found with a model.
//!
//! A label is suspicious if two independent criteria agree: the model gives another class at least the probability that it gives
//! that class on average where it is the label (the rule of confident learning, Northcutt, Jiang and Chuang 2021), and most of
//! the image's nearest neighbours, by the activations before the last layer, have another label too. A net that has memorised the
//! set believes wrong labels as well; then only the neighbours remain as a criterion.

use crate::data::loader::Loader;
use crate::engine::Inspection;
use crate::net::Op;
use crate::predict::{log_probabilities, ranking};
use crate::{Error, Result};
use alexnet_kernels::random::Key;
use rayon::prelude::*;
use serde::Serialize;

/// A model's predictions and features for each readable image of a set, in the source's order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Opinions {
    /// Source indices.
    pub images: Vec<u32>,
    /// Labels.
    pub labels: Vec<u32>,
    /// `[n, classes]` log-probabilities.
    scores: Vec<f64>,
    /// `[n, dimensions]`, each of length 1.
    features: Vec<f32>,
    classes: usize,
    dimensions: usize,
}

/// A likely wrong label.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LabelIssue {
    /// Source index of the image.
    #[serde(rename = "picture")]
    pub image: u32,
    /// Current label.
    pub label: usize,
    /// Probability of the current label.
    pub probability: f64,
    /// Suggested class.
    pub suggested: usize,
    /// Probability of the suggested class.
    pub suggested_probability: f64,
    /// Number of nearest neighbours with the current label.
    pub agreeing: usize,
    /// Number of nearest neighbours with the suggested class.
    pub suggesting: usize,
}

/// Number of nearest neighbours considered.
pub const NEIGHBOURS: usize = 10;

/// Maximum number of features; more are projected to as many random directions. Distances are preserved to some 6 % (Johnson and
/// Lindenstrauss), and 50,000 images can be compared in seconds.
const DIMENSIONS: usize = 256;

/// Distance up to which neighbours count as copies and are skipped, since copies must not confirm each other's label.
const COPY: f32 = 0.9999;

/// Runs the model on all images of a sequential loader with one crop per image. `progress` receives the number of images done
/// after each batch, and stops by returning `false`.
///
/// # Errors
/// An engine error, or a stop by `progress`.
pub fn opinions(engine: &mut dyn Inspection, loader: &Loader, progress: &mut dyn FnMut(usize) -> bool) -> Result<Opinions> {
    let classes = engine.net().classes();
    let shapes = engine.net().shapes()?;
    let last = engine.net().layers.iter().rposition(|layer| matches!(layer.op, Op::Linear { .. })).unwrap_or(0);
    // Input of the last linear layer, or the image itself if there is no other layer.
    let features = last.checked_sub(1).map(|i| (engine.net().layers[i].name.clone(), shapes[i].output.len()));
    let mut found = Opinions { classes, ..Opinions::default() };
    let (mut logits, mut done) = (Vec::new(), 0);
    for batch in loader.epoch(0, 0) {
        done += batch.indices.len() + batch.broken.len();
        if !batch.indices.is_empty() {
            engine.infer(&batch.images, &mut logits)?;
            found.images.extend(&batch.indices);
            found.labels.extend(&batch.labels);
            found.scores.extend(logits.chunks_exact(classes).flat_map(|logits| log_probabilities(logits, classes)));
            let (values, len) = match &features {
                Some((layer, len)) => (engine.activation(&batch.images, layer)?, *len),
                None => (batch.images.clone(), batch.images.len() / batch.indices.len()),
            };
            found.dimensions = len.min(DIMENSIONS);
            let projected: Vec<Vec<f32>> = values.par_chunks_exact(len).map(project).collect();
            found.features.extend(projected.into_iter().flatten());
        }
        if !progress(done) {
            return Err(Error::Invalid("stopped".into()));
        }
    }
    Ok(found)
}

/// Projects features onto random directions, the same for all images, and normalises them.
fn project(features: &[f32]) -> Vec<f32> {
    let mut projected = if features.len() <= DIMENSIONS {
        features.to_vec()
    } else {
        let mut sums = vec![0.0f32; DIMENSIONS];
        // Half of the values after a ReLU are zero. Signs serve as well as normal numbers (Achlioptas 2003): 64 from each.
        for (i, &value) in features.iter().enumerate().filter(|(_, value)| **value != 0.0) {
            for (word, sums) in sums.chunks_exact_mut(64).enumerate() {
                let bits = Key(0).with(i as u64).bits(word as u64);
                for (bit, sum) in sums.iter_mut().enumerate() {
                    *sum += if bits >> bit & 1 == 1 { value } else { -value };
                }
            }
        }
        sums
    };
    let norm = projected.iter().map(|v| v * v).sum::<f32>().sqrt();
    if norm > 0.0 && norm.is_finite() {
        projected.iter_mut().for_each(|v| *v /= norm);
    }
    projected
}

impl Opinions {
    /// Likely wrong labels, the least probable first.
    pub fn label_issues(&self) -> Vec<LabelIssue> {
        let usual = self.usual_confidence();
        let mut doubts: Vec<LabelIssue> = (0..self.images.len()).into_par_iter().filter_map(|i| self.doubt(i, &usual)).collect();
        doubts.sort_by(|a, b| a.probability.total_cmp(&b.probability).then(a.image.cmp(&b.image)));
        doubts
    }

    fn scores(&self, i: usize) -> &[f64] {
        &self.scores[i * self.classes..(i + 1) * self.classes]
    }

    fn features(&self, i: usize) -> &[f32] {
        &self.features[i * self.dimensions..(i + 1) * self.dimensions]
    }

    /// Mean probability of each class over the images labelled with it; `None` without such images.
    fn usual_confidence(&self) -> Vec<Option<f64>> {
        let (mut sums, mut counts) = (vec![0.0; self.classes], vec![0usize; self.classes]);
        for (i, &label) in self.labels.iter().enumerate() {
            sums[label as usize] += self.scores(i)[label as usize].exp();
            counts[label as usize] += 1;
        }
        sums.iter().zip(&counts).map(|(&sum, &n)| (n > 0).then(|| sum / n as f64)).collect()
    }

    fn doubt(&self, i: usize, usual: &[Option<f64>]) -> Option<LabelIssue> {
        let (scores, label) = (self.scores(i), self.labels[i] as usize);
        let suggested = ranking(scores)[0];
        let probability = scores[suggested].exp();
        if suggested == label || usual[suggested].is_none_or(|usual| probability < usual) {
            return None;
        }
        let neighbours = self.neighbours(i);
        let count = |class: usize| neighbours.iter().filter(|&&n| self.labels[n] as usize == class).count();
        let (agreeing, suggesting) = (count(label), count(suggested));
        (suggesting > agreeing && 3 * suggesting >= neighbours.len()).then(|| LabelIssue {
            image: self.images[i],
            label,
            probability: scores[label].exp(),
            suggested,
            suggested_probability: probability,
            agreeing,
            suggesting,
        })
    }

    /// The nearest images, the nearest first, without copies of image `i` itself.
    fn neighbours(&self, i: usize) -> Vec<usize> {
        let mine = self.features(i);
        let mut nearest: Vec<(f32, usize)> = Vec::with_capacity(NEIGHBOURS + 1);
        for n in (0..self.images.len()).filter(|&n| n != i) {
            let alike: f32 = mine.iter().zip(self.features(n)).map(|(a, b)| a * b).sum();
            if alike > COPY || nearest.len() == NEIGHBOURS && alike <= nearest[NEIGHBOURS - 1].0 {
                continue;
            }
            let place = nearest.partition_point(|(other, _)| *other >= alike);
            nearest.insert(place, (alike, n));
            nearest.truncate(NEIGHBOURS);
        }
        nearest.into_iter().map(|(_, n)| n).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two clusters of images on which the model is confident; every tenth label of each cluster is the other's.
    fn clouds(n: usize) -> Opinions {
        let mut opinions = Opinions { classes: 2, dimensions: 3, ..Opinions::default() };
        for i in 0..n {
            let cloud = i % 2;
            let wrong = i % 20 >= 18;
            let noise = |c: u64| 0.2 * Key(5).with(i as u64).normal(c);
            opinions.images.push(i as u32);
            opinions.labels.push((cloud ^ usize::from(wrong)) as u32);
            let sure = 0.9 + 0.05 * f64::from(Key(6).uniform(i as u64));
            let scores = if cloud == 0 { [sure, 1.0 - sure] } else { [1.0 - sure, sure] };
            opinions.scores.extend(scores.map(f64::ln));
            let middle = if cloud == 0 { [1.0, 0.0, 0.2] } else { [0.0, 1.0, 0.2] };
            opinions.features.extend(project(&[middle[0] + noise(0), middle[1] + noise(1), middle[2] + noise(2)]));
        }
        opinions
    }

    #[test]
    fn wrong_labels_are_reported_and_correct_ones_are_not() {
        let doubts = clouds(400).label_issues();
        let mut found: Vec<u32> = doubts.iter().map(|d| d.image).collect();
        found.sort_unstable();
        assert_eq!(found, (0..400).filter(|i| i % 20 >= 18).collect::<Vec<u32>>());
        assert!(doubts.iter().all(|d| d.suggested != d.label && d.suggested_probability > 0.9 && d.suggesting > 5));
        assert!(doubts.is_sorted_by(|a, b| a.probability <= b.probability));
    }

    #[test]
    fn one_criterion_is_not_enough() {
        // The model disagrees with image 0's label, but its neighbours have it.
        let mut opinions = clouds(400);
        opinions.scores[..2].copy_from_slice(&[0.01f64.ln(), 0.99f64.ln()]);
        assert!(opinions.label_issues().iter().all(|d| d.image != 0));
        // The neighbours of image 18 have another label, but the model is not confident.
        opinions.scores[36..38].copy_from_slice(&[0.55f64.ln(), 0.45f64.ln()]);
        assert!(opinions.label_issues().iter().all(|d| d.image != 18));
    }

    #[test]
    fn copies_do_not_confirm_each_other() {
        let mut opinions = clouds(400);
        // Twenty copies of image 18, all with its wrong label.
        for copy in 400..420 {
            let (features, scores) = (opinions.features(18).to_vec(), opinions.scores(18).to_vec());
            opinions.features.extend(features);
            opinions.scores.extend(scores);
            opinions.images.push(copy);
            opinions.labels.push(opinions.labels[18]);
        }
        let doubted = opinions.label_issues();
        assert!([18, 400, 419].iter().all(|&i| doubted.iter().any(|d| d.image == i)));
    }

    #[test]
    fn random_projections_preserve_angles() {
        let vector = |seed: u64| (0..4096).map(|i| Key(seed).normal(i).max(0.0)).collect::<Vec<f32>>();
        let (a, b) = (vector(1), vector(2));
        let both: Vec<f32> = a.iter().zip(&b).map(|(a, b)| 0.8 * a + 0.2 * b).collect();
        let cosine = |a: &[f32], b: &[f32]| {
            let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
            dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
        };
        for (a, b) in [(&a, &b), (&a, &both), (&a, &a)] {
            let off = cosine(&project(a), &project(b)) - cosine(a, b);
            assert!(off.abs() < 0.15, "{off}");
        }
    }
}

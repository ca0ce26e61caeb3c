//! Labels that a model cannot believe.
//!
//! A label is doubted when two independent witnesses speak against it: the model gives another class at least the probability that
//! it gives that class on average where it is the label (the rule of confident learning, Northcutt, Jiang and Chuang 2021), and most
//! of the image's nearest neighbours, by what the layer before the last one makes of them, have another label too. A
//! net that has learnt the set by heart believes wrong labels as well; neighbours are what is left then.

use crate::data::loader::Loader;
use crate::engine::Inspection;
use crate::net::Op;
use crate::predict::{log_probabilities, ranking};
use crate::{Error, Result};
use alexnet_kernels::random::Key;
use rayon::prelude::*;
use serde::Serialize;

/// What a model makes of each readable image of a set, in the source's order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Opinions {
    /// Numbers in the source.
    pub pictures: Vec<u32>,
    /// Labels.
    pub labels: Vec<u32>,
    /// `[n, classes]` logarithms of probabilities.
    scores: Vec<f64>,
    /// `[n, dimensions]`, each of length 1.
    features: Vec<f32>,
    classes: usize,
    dimensions: usize,
}

/// A label that is likely wrong.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LabelIssue {
    /// The image's number in its source.
    pub picture: u32,
    /// Its label.
    pub label: usize,
    /// The probability of that label.
    pub probability: f64,
    /// The class that it should likely have.
    pub suggested: usize,
    /// The probability of that class.
    pub suggested_probability: f64,
    /// Of the nearest neighbours, how many have the label.
    pub agreeing: usize,
    /// Of the nearest neighbours, how many have the suggested class.
    pub suggesting: usize,
}

/// Nearest neighbours that are asked.
pub const NEIGHBOURS: usize = 10;

/// More features than this are projected to as many random directions: distances stay what they were to some 6 % (Johnson and
/// Lindenstrauss), and 50,000 images can be compared in seconds.
const DIMENSIONS: usize = 256;

/// Copies of an image must not vouch for each other's label: neighbours as near as this are passed over.
const COPY: f32 = 0.9999;

/// Asks the model about all images of a sequential loader of one crop an image. `progress` hears the number of images done
/// after each batch, and may stop by `false`.
///
/// # Errors
/// From the engine; when stopped.
pub fn opinions(engine: &mut dyn Inspection, loader: &Loader, progress: &mut dyn FnMut(usize) -> bool) -> Result<Opinions> {
    let classes = engine.net().classes();
    let shapes = engine.net().shapes()?;
    let last = engine.net().layers.iter().rposition(|layer| matches!(layer.op, Op::Linear { .. })).unwrap_or(0);
    // What goes into the last linear layer; the image itself where there is no other.
    let features = last.checked_sub(1).map(|i| (engine.net().layers[i].name.clone(), shapes[i].output.len()));
    let mut found = Opinions { classes, ..Opinions::default() };
    let (mut logits, mut done) = (Vec::new(), 0);
    for batch in loader.epoch(0, 0) {
        done += batch.pictures.len() + batch.broken.len();
        if !batch.pictures.is_empty() {
            engine.infer(&batch.images, &mut logits)?;
            found.pictures.extend(&batch.pictures);
            found.labels.extend(&batch.labels);
            found.scores.extend(logits.chunks_exact(classes).flat_map(|logits| log_probabilities(logits, classes)));
            let (values, len) = match &features {
                Some((layer, len)) => (engine.activation(&batch.images, layer)?, *len),
                None => (batch.images.clone(), batch.images.len() / batch.pictures.len()),
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

/// Features along random directions, the same ones for all images, and of length 1.
fn project(features: &[f32]) -> Vec<f32> {
    let mut projected = if features.len() <= DIMENSIONS {
        features.to_vec()
    } else {
        let mut sums = vec![0.0f32; DIMENSIONS];
        // Half of the values behind a ReLU are zero. Signs serve as well as normal numbers (Achlioptas 2003): 64 from each.
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
    /// Labels that are likely wrong, the least probable first.
    pub fn label_issues(&self) -> Vec<LabelIssue> {
        let usual = self.usual_confidence();
        let mut doubts: Vec<LabelIssue> =
            (0..self.pictures.len()).into_par_iter().filter_map(|i| self.doubt(i, &usual)).collect();
        doubts.sort_by(|a, b| a.probability.total_cmp(&b.probability).then(a.picture.cmp(&b.picture)));
        doubts
    }

    fn scores(&self, i: usize) -> &[f64] {
        &self.scores[i * self.classes..(i + 1) * self.classes]
    }

    fn features(&self, i: usize) -> &[f32] {
        &self.features[i * self.dimensions..(i + 1) * self.dimensions]
    }

    /// The mean probability of each class where it is the label; none where it never is.
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
            picture: self.pictures[i],
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
        for n in (0..self.pictures.len()).filter(|&n| n != i) {
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

    /// Two clouds of images, the model sure of what they are; every tenth label of each cloud is the other's.
    fn clouds(n: usize) -> Opinions {
        let mut opinions = Opinions { classes: 2, dimensions: 3, ..Opinions::default() };
        for i in 0..n {
            let cloud = i % 2;
            let wrong = i % 20 >= 18;
            let noise = |c: u64| 0.2 * Key(5).with(i as u64).normal(c);
            opinions.pictures.push(i as u32);
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
    fn wrong_labels_are_doubted_and_right_ones_are_not() {
        let doubts = clouds(400).label_issues();
        let mut found: Vec<u32> = doubts.iter().map(|d| d.picture).collect();
        found.sort_unstable();
        assert_eq!(found, (0..400).filter(|i| i % 20 >= 18).collect::<Vec<u32>>());
        assert!(doubts.iter().all(|d| d.suggested != d.label && d.suggested_probability > 0.9 && d.suggesting > 5));
        assert!(doubts.is_sorted_by(|a, b| a.probability <= b.probability));
    }

    #[test]
    fn one_witness_is_not_enough() {
        // The model doubts image 0, but its neighbours have its label.
        let mut opinions = clouds(400);
        opinions.scores[..2].copy_from_slice(&[0.01f64.ln(), 0.99f64.ln()]);
        assert!(opinions.label_issues().iter().all(|d| d.picture != 0));
        // The neighbours of image 18 have another label, but the model is not sure.
        opinions.scores[36..38].copy_from_slice(&[0.55f64.ln(), 0.45f64.ln()]);
        assert!(opinions.label_issues().iter().all(|d| d.picture != 18));
    }

    #[test]
    fn copies_do_not_vouch_for_each_other() {
        let mut opinions = clouds(400);
        // Twenty copies of image 18, all with its wrong label.
        for copy in 400..420 {
            let (features, scores) = (opinions.features(18).to_vec(), opinions.scores(18).to_vec());
            opinions.features.extend(features);
            opinions.scores.extend(scores);
            opinions.pictures.push(copy);
            opinions.labels.push(opinions.labels[18]);
        }
        let doubted = opinions.label_issues();
        assert!([18, 400, 419].iter().all(|&i| doubted.iter().any(|d| d.picture == i)));
    }

    #[test]
    fn random_directions_keep_angles() {
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

//! Evaluation of a model: top-1, top-5, loss, per-class accuracy, confusion matrix, calibration.

mod calibration;
mod class_remap;

pub use calibration::{BINS, Bin, Calibration};
pub use class_remap::{by_name, for_model};

use crate::data::loader::{Batch, Loader};
use crate::distributed::{self, Communicator, SingleProcess};
use crate::engine::Inference;
use crate::predict::{log_probabilities, ranking};
use crate::{Error, Result};
use serde::Serialize;

/// Number of classes up to which top-5 is always 1.
pub const TOP5: usize = 5;

/// Results of an evaluation. Accuracies are fractions, 0 to 1.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Number of images evaluated, without broken ones.
    pub images: usize,
    /// Fraction of images whose own class ranked first.
    pub top1: f64,
    /// Fraction of images whose own class ranked among the first five (or all, if there are fewer).
    pub top5: f64,
    /// Mean cross-entropy in nats, of averaged probabilities with several crops.
    pub loss: f64,
    /// Crops per image.
    pub crops: usize,
    /// Accuracy of each class, in the model's order.
    pub per_class: Vec<PerClass>,
    /// Number of images as `confusion[truth][prediction]`.
    pub confusion: Vec<Vec<u64>>,
    /// Calibration of the model's confidence.
    pub calibration: Calibration,
    /// Predictions of all images, in the source's order.
    #[serde(skip)]
    pub answers: Vec<Scored>,
    /// Source indices of unreadable images, with reasons.
    pub broken: Vec<(u32, String)>,
}

impl Report {
    /// Whether [`top5`](Self::top5) is meaningful: it is 1 with five classes or fewer.
    pub fn tells_top5(&self) -> bool {
        self.per_class.len() > TOP5
    }
}

/// A model's prediction for an image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scored {
    /// Source index of the image.
    pub image: u32,
    /// True class.
    pub label: u32,
    /// Predicted class.
    pub class: u32,
    /// Probability of the predicted class, 0 to 1.
    pub probability: f32,
    /// Probability of the true class, 0 to 1.
    pub of_label: f32,
}

impl Scored {
    /// Whether the prediction is correct.
    pub fn is_right(&self) -> bool {
        self.class == self.label
    }
}

/// Accuracy of one class.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PerClass {
    /// Name of the class.
    pub class: String,
    /// Number of its images.
    pub images: u64,
    /// Fraction of correct predictions; `None` without images.
    pub top1: Option<f64>,
}

/// Evaluates the images of a sequential loader. `crops` must be the loader's crops per image, 1 or 10, whose softmax outputs are
/// averaged. `progress` receives the number of images done after each batch, and stops the evaluation by returning `false`.
///
/// # Errors
/// An engine error, no readable image, or a stop by `progress`.
pub fn evaluate(
    engine: &mut dyn Inference,
    loader: &Loader,
    classes: &[String],
    crops: usize,
    progress: &mut dyn FnMut(usize) -> bool,
) -> Result<Report> {
    evaluate_on(&SingleProcess::default(), engine, loader, classes, crops, progress)
}

/// [`evaluate`] by several ranks, each with a loader [cut](Loader::with_cut) for it, or the whole. All ranks get the report on
/// all images; `progress` receives this rank's count, and stops all ranks if it stops one.
///
/// # Errors
/// As [`evaluate`], or another rank has failed.
pub fn evaluate_on(
    ranks: &dyn Communicator,
    engine: &mut dyn Inference,
    loader: &Loader,
    classes: &[String],
    crops: usize,
    progress: &mut dyn FnMut(usize) -> bool,
) -> Result<Report> {
    let mut batches = loader.epoch(0, 0);
    let together = engine.infers_together();
    let mut part = Vec::new();
    let mut next = |logits: &mut Vec<f32>| {
        let Some(batch) = batches.next() else { return Ok(None) };
        logits.clear();
        let image = batch.images.len() / batch.labels.len().max(1);
        let mut done = 0;
        // Block by block, so that results are bit-identical for any distribution. No rank waits needlessly.
        for &n in batch.parts.iter().filter(|&&n| n > 0 || together) {
            engine.infer(&batch.images[done * image..(done + n) * image], &mut part)?;
            logits.extend_from_slice(&part);
            done += n;
        }
        Ok(Some(batch))
    };
    // Ranks that have seen all images need not exchange results.
    let alone = SingleProcess::default();
    let ranks: &dyn Communicator = if loader.cut().size > 1 { ranks } else { &alone };
    of_batches(ranks, &mut next, classes, crops, progress)
}

/// [`evaluate_on`] for batches from any source: `next` returns one with the logits of its images.
pub(crate) fn of_batches(
    ranks: &dyn Communicator,
    next: &mut dyn FnMut(&mut Vec<f32>) -> Result<Option<Batch>>,
    classes: &[String],
    crops: usize,
    progress: &mut dyn FnMut(usize) -> bool,
) -> Result<Report> {
    let (mut seen, mut logits, mut broken) = (Vec::new(), Vec::new(), Vec::new());
    while let Some(mut batch) = next(&mut logits)? {
        broken.append(&mut batch.broken);
        let images = batch.indices.iter().zip(&batch.labels);
        for (logits, (&image, &label)) in logits.chunks_exact(crops * classes.len()).zip(images) {
            seen.push(Seen::new(&log_probabilities(logits, classes.len()), image, label));
        }
        if !progress(seen.len() + broken.len()) {
            return Err(Error::Invalid("stopped".into()));
        }
    }
    let (seen, broken) = if ranks.size() == 1 { (seen, broken) } else { of_all_ranks(ranks, &seen, &broken)? };
    if seen.is_empty() {
        let reason = broken.first().map_or(String::new(), |(_, reason)| format!(": {reason}"));
        return Err(Error::Invalid(format!("none of the {} images could be read{reason}", broken.len())));
    }
    Ok(report(&seen, classes, crops, broken))
}

/// Indices of unreadable images, with reasons.
type Broken = Vec<(u32, String)>;

/// Gathers the results of all ranks, in the source's order.
fn of_all_ranks(ranks: &dyn Communicator, seen: &[Seen], broken: &Broken) -> Result<(Vec<Seen>, Broken)> {
    let numbers = distributed::all_gather_f64(ranks, seen.iter().flat_map(|seen| seen.to_numbers()))?;
    let mut seen: Vec<Seen> = numbers.as_chunks().0.iter().map(Seen::of_numbers).collect();
    seen.sort_by_key(|seen| seen.answer.image);
    let mut broken: Broken = distributed::all_gather_values(ranks, broken)?.into_iter().flatten().collect();
    broken.sort();
    Ok((seen, broken))
}

/// Result for one image.
#[derive(Debug, Clone, Copy)]
struct Seen {
    answer: Scored,
    in_top5: bool,
    loss: f64,
}

impl Seen {
    fn new(log_probabilities: &[f64], image: u32, label: u32) -> Seen {
        let order = ranking(log_probabilities);
        let (own, first) = (label as usize, order[0]);
        let probability = |class: usize| log_probabilities[class].exp() as f32;
        let (probability, of_label) = (probability(first), probability(own));
        Seen {
            answer: Scored { image, label, class: first as u32, probability, of_label },
            in_top5: order.iter().take(5).any(|&class| class == own),
            loss: -log_probabilities[own],
        }
    }

    /// Encodes a result for other ranks; every field fits into a double.
    fn to_numbers(self) -> [f64; 7] {
        let Seen { answer, in_top5, loss } = self;
        let Scored { image, label, class, probability, of_label } = answer;
        let [image, label, class] = [image, label, class].map(f64::from);
        [image, label, class, f64::from(probability), f64::from(of_label), f64::from(u8::from(in_top5)), loss]
    }

    fn of_numbers(&[image, label, class, probability, of_label, in_top5, loss]: &[f64; 7]) -> Seen {
        let [image, label, class] = [image, label, class].map(|number| number as u32);
        let (probability, of_label) = (probability as f32, of_label as f32);
        Seen { answer: Scored { image, label, class, probability, of_label }, in_top5: in_top5 != 0.0, loss }
    }
}

/// Summarises the results of all images.
fn report(seen: &[Seen], classes: &[String], crops: usize, broken: Vec<(u32, String)>) -> Report {
    let mut confusion = vec![vec![0u64; classes.len()]; classes.len()];
    for Seen { answer, .. } in seen {
        confusion[answer.label as usize][answer.class as usize] += 1;
    }
    let n = seen.len() as f64;
    let right: u64 = (0..classes.len()).map(|c| confusion[c][c]).sum();
    let per_class = classes.iter().zip(&confusion).enumerate().map(|(c, (class, row))| {
        let images = row.iter().sum();
        PerClass { class: class.clone(), images, top1: (images > 0).then(|| row[c] as f64 / images as f64) }
    });
    let answers: Vec<Scored> = seen.iter().map(|seen| seen.answer).collect();
    Report {
        images: seen.len(),
        top1: right as f64 / n,
        top5: seen.iter().filter(|seen| seen.in_top5).count() as f64 / n,
        loss: seen.iter().map(|seen| seen.loss).sum::<f64>() / n,
        crops,
        per_class: per_class.collect(),
        confusion,
        calibration: Calibration::of(answers.iter().map(|answer| (f64::from(answer.probability), answer.is_right()))),
        answers,
        broken,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_crop_gives_log_softmax_exactly_and_without_overflow() {
        let got = log_probabilities(&[1000.0, 0.0], 2);
        assert_eq!(got, [0.0, -1000.0]);
        let got = log_probabilities(&[0.5, 0.5, 0.5, 0.5], 4);
        assert!(got.iter().all(|p| (p + 4.0f64.ln()).abs() < 1e-12));
    }

    #[test]
    fn crops_average_probabilities_not_logits() {
        // 0.9, 0.1 and 0.2, 0.8: mean 0.55, 0.45. The mean logits would select the same class by another margin.
        let crop = |p: f32| [p.ln(), (1.0 - p).ln()];
        let got = log_probabilities(&[crop(0.9), crop(0.2)].concat(), 2);
        assert!((got[0].exp() - 0.55).abs() < 1e-6 && (got[1].exp() - 0.45).abs() < 1e-6, "{got:?}");
    }

    #[test]
    fn a_constant_prediction_is_correct_for_one_class_only() {
        let classes: Vec<String> = (0..10).map(|c| c.to_string()).collect();
        let seen: Vec<Seen> = (0..10).map(|label| Seen::new(&[-(10.0f64.ln()); 10], label, label)).collect();
        let again: Vec<Seen> = seen.iter().map(|seen| Seen::of_numbers(&seen.to_numbers())).collect();
        let report = report(&again, &classes, 1, Vec::new());
        assert_eq!((report.top1, report.top5, report.images), (0.1, 0.5, 10));
        assert!((report.loss - 10.0f64.ln()).abs() < 1e-12);
        assert_eq!(report.per_class[0].top1, Some(1.0));
        assert_eq!(report.confusion[3], [1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        // Confidence equals accuracy: a tenth.
        assert!(report.calibration.ece < 1e-6, "{}", report.calibration.ece);
        let answer = report.answers[3];
        assert!((answer.image, answer.label, answer.class) == (3, 3, 0) && !answer.is_right());
    }
}

//! Summary of an evaluation.

use super::answer::{Scored, Seen};
use super::{Calibration, Options};
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
    /// K of [`top_k`](Self::top_k): [`Options::top`].
    pub k: usize,
    /// Fraction of images whose own class ranked among the first [`k`](Self::k).
    pub top_k: f64,
    /// Mean cross-entropy in nats, of averaged probabilities with several crops.
    pub loss: f64,
    /// Crops per image.
    pub crops: usize,
    /// Precision, recall and F1, averaged over the classes that have images or predictions.
    pub macro_average: Averages,
    /// Accuracy of each class, in the model's order.
    pub per_class: Vec<PerClass>,
    /// Number of images as `confusion[truth][prediction]`.
    pub confusion: Vec<Vec<u64>>,
    /// Calibration of the model's confidence.
    pub calibration: Calibration,
    /// Effect of the threshold, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selective: Option<Selective>,
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

/// Accuracy of one class.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PerClass {
    /// Name of the class.
    pub class: String,
    /// Number of its images.
    pub images: u64,
    /// Fraction of its images that are predicted correctly, also called its recall; `None` without images.
    pub top1: Option<f64>,
    /// Number of predictions of this class.
    pub predictions: u64,
    /// Fraction of its predictions that are correct; `None` without predictions.
    pub precision: Option<f64>,
    /// The same as [`top1`](Self::top1).
    pub recall: Option<f64>,
    /// Harmonic mean of precision and recall, `2 TP / (images + predictions)`; `None` without images and predictions.
    pub f1: Option<f64>,
}

/// Macro averages, over the classes with images or predictions. An undefined precision or recall counts as 0, as with
/// scikit-learn's `zero_division=0`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Averages {
    /// Mean precision.
    pub precision: f64,
    /// Mean recall.
    pub recall: f64,
    /// Mean F1.
    pub f1: f64,
    /// Number of classes averaged.
    pub classes: usize,
}

/// Effect of answering "unknown" below a threshold.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Selective {
    /// Least probability of an answer.
    pub threshold: f64,
    /// Number of images answered.
    pub answered: usize,
    /// Fraction of images answered.
    pub coverage: f64,
    /// Fraction of the answers that are correct; `None` without answers.
    pub accuracy: Option<f64>,
    /// Number of wrong answers.
    pub wrong: usize,
}

impl Selective {
    fn of(threshold: f64, seen: &[Seen]) -> Selective {
        let answered = || seen.iter().filter(|seen| seen.answered);
        let (n, wrong) = (answered().count(), answered().filter(|seen| !seen.answer.is_right()).count());
        let accuracy = (n > 0).then(|| (n - wrong) as f64 / n as f64);
        Selective { threshold, answered: n, coverage: n as f64 / seen.len() as f64, accuracy, wrong }
    }
}

/// Counts of one class, from row and column of the confusion matrix.
fn per_class(class: &str, c: usize, confusion: &[Vec<u64>], predictions: u64) -> PerClass {
    let (right, images) = (confusion[c][c], confusion[c].iter().sum::<u64>());
    let share = |of: u64| (of > 0).then(|| right as f64 / of as f64);
    let both = images + predictions;
    PerClass {
        class: class.into(),
        images,
        top1: share(images),
        predictions,
        precision: share(predictions),
        recall: share(images),
        f1: (both > 0).then(|| 2.0 * right as f64 / both as f64),
    }
}

fn macro_average(per_class: &[PerClass]) -> Averages {
    let present = || per_class.iter().filter(|class| class.images + class.predictions > 0);
    let classes = present().count();
    let mean = |of: fn(&PerClass) -> Option<f64>| present().filter_map(of).sum::<f64>() / classes.max(1) as f64;
    Averages { precision: mean(|class| class.precision), recall: mean(|class| class.recall), f1: mean(|class| class.f1), classes }
}

/// Summarises the results of all images.
pub(super) fn summarise(seen: &[Seen], classes: &[String], options: Options, broken: Vec<(u32, String)>) -> Report {
    let mut confusion = vec![vec![0u64; classes.len()]; classes.len()];
    let mut predictions = vec![0u64; classes.len()];
    for Seen { answer, .. } in seen {
        confusion[answer.label as usize][answer.class as usize] += 1;
        predictions[answer.class as usize] += 1;
    }
    let n = seen.len() as f64;
    let within = |k: usize| seen.iter().filter(|seen| (seen.rank as usize) < k).count() as f64 / n;
    let per_class: Vec<PerClass> =
        classes.iter().enumerate().map(|(c, class)| per_class(class, c, &confusion, predictions[c])).collect();
    let answers: Vec<Scored> = seen.iter().map(|seen| seen.answer).collect();
    Report {
        images: seen.len(),
        top1: within(1),
        top5: within(TOP5),
        k: options.top,
        top_k: within(options.top),
        loss: seen.iter().map(|seen| seen.loss).sum::<f64>() / n,
        crops: options.crops,
        macro_average: macro_average(&per_class),
        per_class,
        confusion,
        calibration: Calibration::of(answers.iter().map(|answer| (f64::from(answer.probability), answer.is_right()))),
        selective: options.threshold.map(|threshold| Selective::of(threshold, seen)),
        answers,
        broken,
    }
}

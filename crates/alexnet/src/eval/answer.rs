//! A model's answer for one labelled image.

use super::Options;
use crate::predict::{ClassScore, ranking};

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

/// Everything that an evaluation finds about one image, as the rows of `alexnet eval --answers` have it.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Source index of the image.
    pub image: usize,
    /// The answer, or why the image could not be read.
    pub outcome: Result<Ranked, String>,
}

/// The classes of an image by probability.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranked {
    /// True class.
    pub label: usize,
    /// Probability of the true class, 0 to 1.
    pub of_label: f64,
    /// Rank of the true class: 1 if the prediction is correct.
    pub rank: usize,
    /// The most probable classes, best first.
    pub top: Vec<ClassScore>,
    /// Whether the best probability reaches the threshold, if there is one.
    pub answered: Option<bool>,
}

impl Answer {
    pub(super) fn new(log_probabilities: &[f64], image: u32, label: u32, options: Options) -> Answer {
        let order = ranking(log_probabilities);
        let score = |&index: &usize| ClassScore { index, probability: log_probabilities[index].exp() };
        let label = label as usize;
        let answered = options.threshold.map(|threshold| log_probabilities[order[0]].exp() >= threshold);
        let outcome = Ranked {
            label,
            of_label: log_probabilities[label].exp(),
            rank: 1 + order.iter().position(|&class| class == label).unwrap_or(order.len()),
            top: order.iter().take(options.top).map(score).collect(),
            answered,
        };
        Answer { image: image as usize, outcome: Ok(outcome) }
    }

    pub(super) fn unreadable(image: u32, reason: &str) -> Answer {
        Answer { image: image as usize, outcome: Err(reason.into()) }
    }
}

/// Result for one image, as kept until the end of an evaluation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    pub(super) answer: Scored,
    /// Rank of the true class, from 0.
    pub(super) rank: u32,
    pub(super) loss: f64,
    /// Whether the best probability reaches the threshold; `true` without one.
    pub(super) answered: bool,
}

impl Seen {
    pub(super) fn new(log_probabilities: &[f64], image: u32, label: u32, threshold: Option<f64>) -> Seen {
        let order = ranking(log_probabilities);
        let (own, first) = (label as usize, order[0]);
        let probability = |class: usize| log_probabilities[class].exp() as f32;
        let (probability, of_label) = (probability(first), probability(own));
        Seen {
            answer: Scored { image, label, class: first as u32, probability, of_label },
            rank: order.iter().position(|&class| class == own).unwrap_or(order.len()) as u32,
            loss: -log_probabilities[own],
            answered: threshold.is_none_or(|threshold| log_probabilities[first].exp() >= threshold),
        }
    }

    /// Encodes a result for other ranks; every field fits into a double.
    pub(super) fn to_numbers(self) -> [f64; 8] {
        let Seen { answer, rank, loss, answered } = self;
        let Scored { image, label, class, probability, of_label } = answer;
        let [image, label, class, rank] = [image, label, class, rank].map(f64::from);
        [image, label, class, f64::from(probability), f64::from(of_label), rank, loss, f64::from(u8::from(answered))]
    }

    pub(super) fn of_numbers(&[image, label, class, probability, of_label, rank, loss, answered]: &[f64; 8]) -> Seen {
        let [image, label, class, rank] = [image, label, class, rank].map(|number| number as u32);
        let (probability, of_label) = (probability as f32, of_label as f32);
        Seen { answer: Scored { image, label, class, probability, of_label }, rank, loss, answered: answered != 0.0 }
    }
}

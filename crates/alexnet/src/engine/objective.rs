//! Loss of a training step, and its gradient at the logits.

use super::StepStats;
use crate::{Error, Result};
use alexnet_kernels::context::Context;
pub use alexnet_kernels::loss::criterion::{Criterion, MixedLabel};
use alexnet_kernels::loss::criterion::{Targets, cross_entropy};
use alexnet_kernels::loss::softmax_cross_entropy;
use std::ops::Range;

/// Loss that a training step minimises, apart from the labels; the default is plain cross-entropy.
#[derive(Debug, Clone, Copy, Default)]
pub struct Objective<'a> {
    /// Settings of the loss; `None`: plain cross-entropy.
    pub criterion: Option<&'a Criterion>,
    /// Second label of each image, for mixup and CutMix; empty if no image is mixed.
    pub mixed: &'a [MixedLabel],
}

impl<'a> Objective<'a> {
    /// The objective of some of the images. Those of a batch without mixed images have none either.
    #[must_use]
    pub fn part(&self, images: Range<usize>) -> Objective<'a> {
        Objective { mixed: if self.mixed.is_empty() { &[] } else { &self.mixed[images] }, ..*self }
    }

    fn is_plain(&self) -> bool {
        self.mixed.is_empty() && self.criterion.is_none_or(Criterion::is_plain)
    }

    /// Whether the loss has class weights, so that its [divisor](Self::divisor) depends on the labels. Ranks agree on it, even if
    /// one has no images.
    pub fn is_weighted(&self) -> bool {
        self.criterion.is_some_and(|criterion| !criterion.class_weights.is_empty())
    }

    /// The divisor that makes the sum of some images' losses their mean, as in PyTorch: the sum of the weights of their labels,
    /// or the number of images. The mean over a batch is the mean over its parts, weighted by their divisors.
    pub fn divisor(&self, labels: &[u32]) -> f64 {
        match self.criterion {
            Some(criterion) => criterion.divisor(Targets { labels, mixed: self.mixed }),
            None => labels.len() as f64,
        }
    }

    /// Checks that it fits `n` images of a net with this many classes.
    ///
    /// # Errors
    /// Another number of second labels or class weights, or a label or share out of range.
    pub fn check(&self, n: usize, classes: usize) -> Result<()> {
        let (seconds, weights) = (self.mixed.len(), self.criterion.map_or(0, |criterion| criterion.class_weights.len()));
        if seconds != 0 && seconds != n {
            return Err(Error::Net(format!("{seconds} second labels for {n} images")));
        }
        if weights != 0 && weights != classes {
            return Err(Error::Net(format!("{weights} class weights for a net of {classes} classes")));
        }
        match self.mixed.iter().find(|second| second.label as usize >= classes || !(0.0..=1.0).contains(&second.share)) {
            Some(MixedLabel { label, share }) => {
                Err(Error::Net(format!("second label {label} with share {share} is out of range for a net of {classes} classes")))
            }
            None => Ok(()),
        }
    }

    /// Computes the mean loss of `logits` [n, classes] and writes its gradient times `scale`.
    ///
    /// # Panics
    /// When the objective does not pass [`check`](Self::check), a label is out of range, or a slice is too short.
    pub fn evaluate(
        &self,
        context: &Context<'_>,
        classes: usize,
        logits: &[f32],
        labels: &[u32],
        scale: f32,
        dlogits: &mut [f32],
    ) -> StepStats {
        let n = labels.len();
        if self.is_plain() {
            let loss = softmax_cross_entropy(context, n, classes, logits, labels, scale / n as f32, Some(dlogits));
            return StepStats { loss: (loss.sum / n as f64) as f32, correct: loss.correct };
        }
        let (plain, divisor) = (Criterion::default(), self.divisor(labels));
        let (criterion, targets) = (self.criterion.unwrap_or(&plain), Targets { labels, mixed: self.mixed });
        let scale = f64::from(scale) / divisor;
        let loss = cross_entropy(context, classes, logits, targets, criterion, scale, Some(dlogits));
        StepStats { loss: (loss.sum / divisor) as f32, correct: loss.correct }
    }
}

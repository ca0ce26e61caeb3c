//! Calibration of a model's confidence: Guo et al. 2017, "On Calibration of Modern Neural Networks", section 2.

use serde::Serialize;

/// Number of equal-width bins over 0 to 1, as in the paper.
pub const BINS: usize = 15;

/// Confidence of a model's predictions compared with their accuracy.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Calibration {
    /// Expected calibration error: the mean over all images of |accuracy - confidence| of their bin. 0 is perfect, 1 the worst.
    pub ece: f64,
    /// [`BINS`] bins; bin i holds the predictions with a probability above i / 15 and at most (i + 1) / 15.
    pub bins: Vec<Bin>,
}

/// Predictions with a probability in one bin.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Bin {
    /// Number of predictions.
    pub images: u64,
    /// Mean probability of the predictions; 0 without images.
    pub confidence: f64,
    /// Accuracy of the predictions; 0 without images.
    pub accuracy: f64,
}

impl Calibration {
    /// Computes the calibration from each prediction's probability and correctness.
    pub fn of(answers: impl IntoIterator<Item = (f64, bool)>) -> Calibration {
        let mut bins = vec![Bin::default(); BINS];
        for (confidence, right) in answers {
            // A NaN probability counts as 0.
            let confidence = if confidence.is_nan() { 0.0 } else { confidence.clamp(0.0, 1.0) };
            let bin = &mut bins[((confidence * BINS as f64).ceil() as usize).clamp(1, BINS) - 1];
            bin.images += 1;
            bin.confidence += confidence;
            bin.accuracy += f64::from(right);
        }
        let all = bins.iter().map(|bin| bin.images).sum::<u64>().max(1) as f64;
        let mut ece = 0.0;
        for bin in &mut bins {
            ece += (bin.accuracy - bin.confidence).abs() / all;
            let n = bin.images.max(1) as f64;
            (bin.confidence, bin.accuracy) = (bin.confidence / n, bin.accuracy / n);
        }
        Calibration { ece, bins }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_matches_the_papers_own_code() {
        // The authors' ECELoss (gpleiss/temperature_scaling) in PyTorch 2.15, in double precision.
        let confidence = |i: u64| ((i * 7919 + 13) % 1000 + 1) as f64 / 1000.0;
        let right = |i: u64| (i * 31 + 7) % 97 < 60;
        let found = Calibration::of((0..500).map(|i| (confidence(i), right(i))));
        assert!((found.ece - 0.269508).abs() < 1e-12, "{}", found.ece);
        assert_eq!(found.bins.iter().map(|bin| bin.images).sum::<u64>(), 500);
    }

    #[test]
    fn confident_and_correct_is_perfect_confident_and_wrong_is_worst() {
        assert_eq!(Calibration::of([(1.0, true); 9]).ece, 0.0);
        assert_eq!(Calibration::of([(1.0, false); 9]).ece, 1.0);
        // Eight of ten correct at 80 %: 0.8 is the upper edge of bin 12, and belongs to it.
        let fair = Calibration::of((0..10).map(|i| (0.8, i < 8)));
        assert!(fair.ece < 1e-12);
        assert_eq!((fair.bins[11].images, fair.bins[11].accuracy), (10, 0.8));
        let mixed = Calibration::of([(0.6, true), (0.6, false), (0.9, true), (0.9, true)]);
        assert!((mixed.ece - 0.1).abs() < 1e-12, "{}", mixed.ece);
    }

    #[test]
    fn empty_and_invalid_input_is_harmless() {
        assert_eq!(Calibration::of([]).ece, 0.0);
        let odd = Calibration::of([(f64::NAN, false), (-1.0, true), (7.0, true)]);
        assert_eq!((odd.bins[0].images, odd.bins[14].images), (2, 1));
    }
}

//! Losses over learning rates: smoothing, the end of the test, and suggestions, all as in fastai 2.

use serde::Serialize;

/// Weight of earlier losses in the smoothed one.
const SMOOTHING: f64 = 0.98;
/// The test ends when the smoothed loss is this many times the lowest.
const EXPLODED: f64 = 4.0;
/// Last points without a say in the suggestions: there the loss explodes.
const LEFT_OUT: usize = 5;
/// Least fall of the loss, as a fraction, that means something.
const LEAST_FALL: f64 = 0.02;
/// Fewest steps that leave points for suggestions.
pub(super) const LEAST_STEPS: usize = 10;

/// A step of a range test.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct LrPoint {
    /// Learning rate.
    pub lr: f64,
    /// Mean loss of the step's images.
    pub loss: f64,
    /// Exponential moving average of the losses so far, without bias to 0.
    pub smoothed: f64,
}

/// Losses of a range test.
#[derive(Debug, Clone, PartialEq)]
pub struct LrCurve {
    /// Steps in their order, with ascending rates.
    pub points: Vec<LrPoint>,
    /// The recipe's own rate, for comparison.
    pub recipe_lr: f64,
    /// Whether the loss exploded before the last rate.
    pub exploded: bool,
    /// Number of planned steps.
    steps: usize,
    /// Biased moving average.
    mean: f64,
    /// Lowest smoothed loss.
    lowest: f64,
}

impl LrCurve {
    pub(super) fn new(recipe_lr: f64, steps: usize) -> LrCurve {
        LrCurve { points: Vec::new(), recipe_lr, exploded: false, steps, mean: 0.0, lowest: f64::INFINITY }
    }

    /// Adds a step. Returns whether the test should end.
    pub(super) fn push(&mut self, lr: f64, loss: f64) -> bool {
        self.mean = self.mean * SMOOTHING + loss * (1.0 - SMOOTHING);
        let smoothed = self.mean / (1.0 - SMOOTHING.powi(self.points.len() as i32 + 1));
        self.points.push(LrPoint { lr, loss, smoothed });
        self.lowest = self.lowest.min(smoothed);
        self.exploded = !smoothed.is_finite() || smoothed > EXPLODED * self.lowest;
        self.exploded
    }

    /// The points that suggestions consider: none if the loss falls so little that its noise would choose the rate.
    fn considered(&self) -> &[LrPoint] {
        let end = self.points.len().saturating_sub(LEFT_OUT);
        let points = &self.points[(self.steps / 10).min(end)..end];
        let lowest = points.iter().map(|point| point.smoothed).fold(f64::INFINITY, f64::min);
        let fell = points.first().is_some_and(|first| lowest < first.smoothed * (1.0 - LEAST_FALL));
        if fell { points } else { &[] }
    }

    /// The rate at which the loss falls fastest, by the logarithm of the rate.
    pub fn steepest(&self) -> Option<f64> {
        let slope = |pair: &[LrPoint]| (pair[1].smoothed - pair[0].smoothed) / (pair[1].lr / pair[0].lr).ln();
        let slopes = self.considered().windows(2).map(|pair| (pair[0].lr, slope(pair)));
        slopes.filter(|(_, slope)| *slope < 0.0).min_by(|a, b| a.1.total_cmp(&b.1)).map(|(lr, _)| lr)
    }

    /// The rate of the lowest loss, at which it is about to rise; a tenth of it is a common choice.
    pub fn minimum(&self) -> Option<f64> {
        self.considered().iter().min_by(|a, b| a.smoothed.total_cmp(&b.smoothed)).map(|point| point.lr)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A curve that is flat, falls around 1e-3, and rises from 0.1 on.
    fn curve() -> LrCurve {
        let mut curve = LrCurve::new(0.01, 100);
        for i in 0..100 {
            let lr = 1e-7 * 1e8f64.powf(f64::from(i) / 100.0);
            let loss = 2.3 - 1.5 / (1.0 + (1e-3 / lr).powi(2)) + (lr / 0.3).powi(2);
            if curve.push(lr, loss) {
                break;
            }
        }
        curve
    }

    #[test]
    fn losses_are_smoothed_and_end_as_in_fastai() {
        let curve = curve();
        // fastai's AvgSmoothLoss(beta=0.98) on the same losses: a debiased mean.
        let (mut mean, mut count) = (0.0, 0);
        for point in &curve.points {
            count += 1;
            mean = mean * 0.98 + point.loss * 0.02;
            assert!((point.smoothed - mean / (1.0 - 0.98f64.powi(count))).abs() < 1e-12);
        }
        assert!(curve.exploded && curve.points.len() < 100);
        let lowest = curve.points.iter().map(|point| point.smoothed).fold(f64::INFINITY, f64::min);
        let smoothed: Vec<f64> = curve.points.iter().map(|point| point.smoothed).collect();
        let last = smoothed.len() - 1;
        assert!(smoothed[last] > 4.0 * lowest && smoothed[last - 1] <= 4.0 * lowest);
    }

    #[test]
    fn suggestions_lie_on_the_slope_and_before_the_rise() {
        let curve = curve();
        let (steepest, minimum) = (curve.steepest().unwrap(), curve.minimum().unwrap());
        assert!(steepest > 1e-3 && steepest < minimum, "{steepest} {minimum}");
        assert!((0.05..1.0).contains(&minimum), "{minimum}");
        let mut flat = LrCurve::new(0.01, 10);
        (0..10).for_each(|i| assert!(!flat.push(0.1 * f64::from(i + 1), 1.0 + f64::from(i) * 0.01)));
        assert_eq!((flat.steepest(), flat.minimum()), (None, None));
        let mut noise = LrCurve::new(0.01, 40);
        (0..40).for_each(|i| assert!(!noise.push(0.1 * f64::from(i + 1), 2.3 + 0.02 * f64::from(i * 7 % 5))));
        assert_eq!((noise.steepest(), noise.minimum()), (None, None));
        assert_eq!(LrCurve::new(0.01, 10).minimum(), None);
    }
}

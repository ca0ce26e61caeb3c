//! Training speed and remaining time, for the progress bar.

use crate::progress::SETTLED;
use std::time::Duration;

/// Time constant of the moving average: older steps count little.
const MEMORY: Duration = Duration::from_secs(15);

/// Pace of a run, as observed by this process. Times are relative to its start.
#[derive(Debug, Clone, Default)]
pub(super) struct Pace {
    /// Time of the last step.
    last: Duration,
    epoch: usize,
    /// Exponentially weighted images and seconds of training.
    images: f64,
    seconds: f64,
    /// Steps in this process, without those before a resume.
    steps: u64,
}

impl Pace {
    /// Records a finished step. Validation between epochs does not count towards the rate.
    pub(super) fn step(&mut self, now: Duration, epoch: usize, images: usize) {
        let took = now.saturating_sub(self.last).as_secs_f64();
        let first = std::mem::replace(&mut self.epoch, epoch) != epoch;
        self.last = now;
        self.steps += 1;
        // The first step of an epoch also includes validation, checkpoints and loader start-up.
        if first && self.steps > 1 {
            return;
        }
        let keeps = (-took / MEMORY.as_secs_f64()).exp();
        self.images = self.images * keeps + images as f64;
        self.seconds = self.seconds * keeps + took;
    }

    /// Images per second, known after the first second.
    pub(super) fn rate(&self) -> Option<f64> {
        (self.last >= SETTLED && self.seconds > 0.0).then(|| self.images / self.seconds)
    }

    /// Estimated time for the given number of steps with everything between them, known after the first second.
    pub(super) fn left(&self, steps: u64) -> Option<Duration> {
        let each = self.last.as_secs_f64() / self.steps as f64;
        (self.last >= SETTLED && self.steps > 0).then(|| Duration::try_from_secs_f64(each * steps as f64).ok()).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn a_rate_is_known_after_a_second_and_follows_smoothly() {
        let mut pace = Pace::default();
        assert_eq!((pace.rate(), pace.left(10)), (None, None));
        pace.step(Duration::from_nanos(31), 1, 32);
        assert_eq!((pace.rate(), pace.left(10)), (None, None));
        pace.step(seconds(2.0), 1, 32);
        assert_eq!((pace.rate().map(f64::round), pace.left(10)), (Some(30.0), Some(seconds(10.0))));
        // From now on ten times as fast: the rate rises with every step without jumps.
        let mut before = pace.rate().unwrap();
        for i in 1..=600 {
            pace.step(seconds(2.0 + 0.1 * f64::from(i)), 1, 32);
            let rate = pace.rate().unwrap();
            assert!(rate > before * 0.999 && rate < before * 1.5 && rate < 321.0, "step {i}: {rate} after {before}");
            before = rate;
        }
        assert!(before > 300.0, "{before}");
    }

    #[test]
    fn validation_counts_towards_the_remaining_time_only() {
        let mut pace = Pace::default();
        (1..=10).for_each(|i| pace.step(seconds(f64::from(i)), 1, 8));
        // Ten seconds of validation.
        pace.step(seconds(21.0), 2, 8);
        pace.step(seconds(22.0), 2, 8);
        assert!((pace.rate().unwrap() - 8.0).abs() < 1e-9);
        assert_eq!(pace.left(12), Some(seconds(22.0)));
    }
}

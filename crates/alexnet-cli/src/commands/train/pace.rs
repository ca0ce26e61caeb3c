//! How fast a run goes and how long it still takes, for the progress bar.

use crate::progress::SETTLED;
use std::time::Duration;

/// Steps further back than this count little: about the time in which a change of speed should show.
const MEMORY: Duration = Duration::from_secs(15);

/// The pace of a run, as far as this process has seen it. Times are those since it began.
#[derive(Debug, Clone, Default)]
pub(super) struct Pace {
    /// Time of the last step.
    last: Duration,
    epoch: usize,
    /// Images and seconds of training; older ones weigh less.
    images: f64,
    seconds: f64,
    /// Steps of this process, not those of a run before it was resumed.
    steps: u64,
}

impl Pace {
    /// A step is done. Between epochs lies validation, which is no part of the rate.
    pub(super) fn step(&mut self, now: Duration, epoch: usize, images: usize) {
        let took = now.saturating_sub(self.last).as_secs_f64();
        let first = std::mem::replace(&mut self.epoch, epoch) != epoch;
        self.last = now;
        self.steps += 1;
        // The first step of an epoch also waited for validation, files and the loader.
        if first && self.steps > 1 {
            return;
        }
        let keeps = (-took / MEMORY.as_secs_f64()).exp();
        self.images = self.images * keeps + images as f64;
        self.seconds = self.seconds * keeps + took;
    }

    /// Images in a second, once a second has passed.
    pub(super) fn rate(&self) -> Option<f64> {
        (self.last >= SETTLED && self.seconds > 0.0).then(|| self.images / self.seconds)
    }

    /// How long so many more steps take with all that lies between them, once a second has passed.
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
        // Ten times as fast from now on: the rate rises with every step and never jumps.
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
    fn validation_between_epochs_counts_for_the_time_that_is_left_only() {
        let mut pace = Pace::default();
        (1..=10).for_each(|i| pace.step(seconds(f64::from(i)), 1, 8));
        // Ten seconds of validation.
        pace.step(seconds(21.0), 2, 8);
        pace.step(seconds(22.0), 2, 8);
        assert!((pace.rate().unwrap() - 8.0).abs() < 1e-9);
        assert_eq!(pace.left(12), Some(seconds(22.0)));
    }
}

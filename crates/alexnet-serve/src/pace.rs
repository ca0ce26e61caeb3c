//! Minimum transfer rate of a client, as a time budget for making the server wait.

use std::time::Duration;

use tokio::time::Instant;

/// Time budget for waiting. It decreases while the server waits and increases with every byte transferred, up to a maximum: a
/// client may pause for that long once, and must keep up the rate on average.
#[derive(Debug, Clone)]
pub(crate) struct Pace {
    left: Duration,
    most: Duration,
    /// Required rate in bytes per second.
    rate: u32,
    /// Start of the current wait.
    waiting: Option<Instant>,
}

impl Pace {
    pub(crate) fn new(most: Duration, rate: u32) -> Pace {
        Pace { left: most, most, rate, waiting: None }
    }

    /// Starts the clock unless it is running. Returns the deadline.
    pub(crate) fn wait(&mut self) -> Instant {
        *self.waiting.get_or_insert_with(Instant::now) + self.left
    }

    /// Stops the clock: `bytes` were transferred, or the server no longer waits for the client.
    pub(crate) fn moved(&mut self, bytes: usize) {
        let waited = self.waiting.take().map_or(Duration::ZERO, |since| since.elapsed());
        let earned = Duration::from_secs_f64(bytes as f64 / f64::from(self.rate.max(1)));
        self.left = (self.left.saturating_sub(waited) + earned).min(self.most);
    }

    /// Shortens the maximum pause.
    pub(crate) fn limit(&mut self, most: Duration) {
        self.most = self.most.min(most);
        self.left = self.left.min(self.most);
    }

    /// Time used up so far.
    pub(crate) fn behind(&self) -> Duration {
        let waited = self.waiting.map_or(Duration::ZERO, |since| since.elapsed());
        self.most.saturating_sub(self.left) + waited
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_earn_time_up_to_the_maximum() {
        let mut pace = Pace::new(Duration::from_secs(4), 1000);
        pace.left = Duration::from_secs(1);
        pace.moved(2000);
        assert_eq!(pace.behind(), Duration::from_secs(1));
        pace.moved(1 << 20);
        assert_eq!(pace.behind(), Duration::ZERO);
        let end = pace.wait();
        assert!(end > Instant::now() + Duration::from_secs(3) && pace.wait() == end);
        // The clock has been running, so less is left, counted from its start.
        pace.limit(Duration::from_secs(1));
        assert_eq!(pace.wait(), end - Duration::from_secs(3));
    }
}

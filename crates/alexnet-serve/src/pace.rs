//! The minimum rate of a client: how long it may keep the server waiting for its bytes, or for room to send it some.

use std::time::Duration;

use tokio::time::Instant;

/// Waiting time that is left. It decreases while the server waits and increases with every byte that moves, up to a maximum: a
/// client may pause for that long once, and must keep up the rate on average.
#[derive(Debug, Clone)]
pub(crate) struct Pace {
    left: Duration,
    most: Duration,
    /// Bytes a second.
    rate: u32,
    /// Since when the server has been waiting.
    waiting: Option<Instant>,
}

impl Pace {
    pub(crate) fn new(most: Duration, rate: u32) -> Pace {
        Pace { left: most, most, rate, waiting: None }
    }

    /// Starts the clock, unless it runs already. Returns when the time is over.
    pub(crate) fn wait(&mut self) -> Instant {
        *self.waiting.get_or_insert_with(Instant::now) + self.left
    }

    /// Stops the clock: `bytes` have moved, or the server is no longer waiting for the client.
    pub(crate) fn moved(&mut self, bytes: usize) {
        let waited = self.waiting.take().map_or(Duration::ZERO, |since| since.elapsed());
        let earned = Duration::from_secs_f64(bytes as f64 / f64::from(self.rate.max(1)));
        self.left = (self.left.saturating_sub(waited) + earned).min(self.most);
    }

    /// Shortens the time that a client may pause.
    pub(crate) fn limit(&mut self, most: Duration) {
        self.most = self.most.min(most);
        self.left = self.left.min(self.most);
    }

    /// How much of the time has been used up.
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
        // The clock has been running: less is left from its start on.
        pace.limit(Duration::from_secs(1));
        assert_eq!(pace.wait(), end - Duration::from_secs(3));
    }
}

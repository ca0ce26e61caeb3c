//! Ctrl-C during long calls, which run without the interpreter lock.

use pyo3::{PyResult, Python};
use std::time::{Duration, Instant};

/// Time between two checks: hardly noticed, and rare enough for the wait for the interpreter lock not to show.
const INTERVAL: Duration = Duration::from_millis(50);

/// Regular checks for signals.
pub(crate) struct Signals(Instant);

impl Signals {
    /// Checks from now on.
    pub(crate) fn new() -> Signals {
        Signals(Instant::now())
    }

    /// Runs Python's signal handlers if the last check is long enough ago.
    ///
    /// # Errors
    /// What a handler raises: `KeyboardInterrupt`.
    pub(crate) fn check(&mut self) -> PyResult<()> {
        if self.0.elapsed() < INTERVAL {
            return Ok(());
        }
        let outcome = Python::attach(|py| py.check_signals());
        self.0 = Instant::now();
        outcome
    }
}

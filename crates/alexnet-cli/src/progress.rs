//! Progress bars of commands that process images.

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use std::fmt::Write;
use std::time::Duration;

/// Time before a rate and the remaining time are shown; the first few images are not representative.
pub(crate) const SETTLED: Duration = Duration::from_secs(1);

/// A bar for `len` images, hidden without a terminal.
pub(crate) fn images(len: usize, hidden: bool) -> anyhow::Result<ProgressBar> {
    if hidden {
        return Ok(ProgressBar::hidden());
    }
    let bar = ProgressBar::new(len as u64);
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} images{speed}")?;
    bar.set_style(style.with_key("speed", |state: &ProgressState, out: &mut dyn Write| {
        // A failed write to the terminal cannot be reported.
        let _ = out.write_str(&speed(state.elapsed(), state.pos(), state.per_sec(), state.eta()));
    }));
    Ok(bar)
}

/// A count of images of a stream whose length is unknown, hidden without a terminal.
pub(crate) fn counter(hidden: bool) -> anyhow::Result<ProgressBar> {
    if hidden {
        return Ok(ProgressBar::hidden());
    }
    let bar = ProgressBar::no_length();
    bar.set_style(ProgressStyle::with_template("{pos} images, {per_sec}")?);
    Ok(bar)
}

/// Formats the rate and the remaining time, once both are meaningful.
fn speed(elapsed: Duration, done: u64, rate: f64, left: Duration) -> String {
    if elapsed < SETTLED || done == 0 || !rate.is_finite() {
        return String::new();
    }
    format!(", {rate:.0} images/s, {} left", duration(left))
}

/// Formats a duration: `45s`, `3m 20s`, `2h 5m`.
pub(crate) fn duration(time: Duration) -> String {
    let seconds = time.as_secs_f64().round() as u64;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, seconds) => format!("{minutes}m {seconds}s"),
        (hours, minutes, _) => format!("{hours}h {minutes}m"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_rate_is_shown_before_a_second_has_passed() {
        let left = Duration::from_secs(200);
        assert_eq!(speed(Duration::from_millis(1), 32, 1_032_258_065.0, Duration::ZERO), "");
        assert_eq!(speed(Duration::from_secs(5), 0, 0.0, Duration::ZERO), "");
        assert_eq!(speed(Duration::from_secs(2), 64, 32.4, left), ", 32 images/s, 3m 20s left");
        assert_eq!([0, 59, 60, 3725].map(|s| duration(Duration::from_secs(s))), ["0s", "59s", "1m 0s", "1h 2m"]);
    }
}

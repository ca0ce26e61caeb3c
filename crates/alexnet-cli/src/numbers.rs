//! Parsers of numeric options, each with a valid range that its error message states.

use std::ops::RangeInclusive;
use std::time::Duration;

/// Maximum number of threads. The largest machines have a few hundred cores, and each thread takes memory and a process table
/// entry.
pub(crate) const MOST_THREADS: usize = 1024;
/// Maximum batch size; the largest published batch is 32,768.
pub(crate) const MOST_BATCH: usize = 1 << 20;
/// Maximum number of blocks in a batch. Each rank gets at least one.
const MOST_BLOCKS: usize = 65_536;
/// Maximum of everything else that is counted: epochs, rows, images.
pub(crate) const MOST: usize = 1_000_000_000;
/// Maximum rows and columns of an image, the same as for any feature map.
pub(crate) const MOST_PIXELS: usize = 1 << 15;
/// Maximum duration in seconds: one year.
const MOST_SECONDS: f64 = 366.0 * 86_400.0;

/// Parses an integer in a range.
pub(crate) fn whole(range: RangeInclusive<usize>) -> impl Fn(&str) -> Result<usize, String> + Clone + Send + Sync + 'static {
    move |text: &str| {
        let found = text.trim().parse::<usize>().ok().filter(|number| range.contains(number));
        let (least, most) = (range.start(), range.end());
        found.ok_or_else(|| format!("expected a whole number from {least} to {most}"))
    }
}

/// Parses `--threads`, where 0 means one per core.
pub(crate) fn threads(text: &str) -> Result<usize, String> {
    whole(0..=MOST_THREADS)(text).map_err(|why| format!("{why} (0: one per core)"))
}

/// Parses `--deterministic`, a number of blocks.
pub(crate) fn blocks(text: &str) -> Result<usize, String> {
    whole(1..=MOST_BLOCKS)(text)
}

/// Parses a batch size.
pub(crate) fn batch(text: &str) -> Result<usize, String> {
    whole(1..=MOST_BATCH)(text)
}

/// Parses a count of at least 1.
pub(crate) fn count(text: &str) -> Result<usize, String> {
    whole(1..=MOST)(text)
}

/// Parses a count of at least 0.
pub(crate) fn count_or_zero(text: &str) -> Result<usize, String> {
    whole(0..=MOST)(text)
}

/// Parses an image size in pixels.
pub(crate) fn pixels(text: &str) -> Result<usize, String> {
    whole(1..=MOST_PIXELS)(text)
}

/// Parses a 64-bit seed or step number.
pub(crate) fn seed(text: &str) -> Result<u64, String> {
    text.trim().parse().map_err(|_| format!("expected a whole number from 0 to {}", u64::MAX))
}

/// Parses a duration in microseconds.
pub(crate) fn microseconds(text: &str) -> Result<u64, String> {
    text.trim().parse().ok().filter(|n| *n <= MOST as u64).ok_or_else(|| format!("expected a whole number from 0 to {MOST}"))
}

/// Parses a finite number that satisfies `holds`.
fn number(text: &str, what: &str, holds: impl Fn(f64) -> bool) -> Result<f64, String> {
    let found = text.trim().parse::<f64>().ok().filter(|number| number.is_finite() && holds(*number));
    found.ok_or_else(|| format!("expected {what}"))
}

/// Parses a learning rate. The upper limit is beyond any rate that trains.
pub(crate) fn learning_rate(text: &str) -> Result<f64, String> {
    number(text, "a number above 0 and at most 1000, such as 0.003", |x| x > 0.0 && x <= 1000.0)
}

/// Parses a fraction of at least 0 and below 1.
pub(crate) fn share(text: &str) -> Result<f64, String> {
    number(text, "a fraction of at least 0 and below 1, such as 0.1", |x| (0.0..1.0).contains(&x))
}

/// Parses a probability.
pub(crate) fn probability(text: &str) -> Result<f64, String> {
    number(text, "a probability from 0 to 1, such as 0.5", |x| (0.0..=1.0).contains(&x))
}

/// Parses a duration in seconds.
pub(crate) fn seconds(text: &str) -> Result<f64, String> {
    number(text, "a number of seconds from 0 to a year", |x| (0.0..=MOST_SECONDS).contains(&x))
}

/// Parses a duration in minutes.
pub(crate) fn minutes(text: &str) -> Result<f64, String> {
    number(text, "a number of minutes from 0 to a year", |x| (0.0..=MOST_SECONDS / 60.0).contains(&x))
}

/// Parses a time such as `90s`, `30m` or `1h30m`.
pub(crate) fn time(text: &str) -> Result<Duration, String> {
    let expected = || "expected a time from 1s to a year, such as 90s, 30m or 1h30m".to_string();
    let (mut rest, mut seconds, mut last) = (text.trim(), 0.0, f64::INFINITY);
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(expected)?;
        let number: f64 = rest[..end].parse().map_err(|_| expected())?;
        let unit = match rest.as_bytes()[end] {
            b'h' => 3600.0,
            b'm' => 60.0,
            b's' => 1.0,
            _ => return Err(expected()),
        };
        // Larger units come first, and each once.
        if unit >= last {
            return Err(expected());
        }
        (seconds, last, rest) = (seconds + number * unit, unit, &rest[end + 1..]);
    }
    Some(seconds).filter(|seconds| (1.0..=MOST_SECONDS).contains(seconds)).map(Duration::from_secs_f64).ok_or_else(expected)
}

/// Parses the standard deviation of noise, as a fraction of the signal's range.
pub(crate) fn noise(text: &str) -> Result<f32, String> {
    number(text, "a number from 0 to 100", |x| (0.0..=100.0).contains(&x)).map(|x| x as f32)
}

/// Parses a physical quantity of at least 0.
pub(crate) fn amount(text: &str) -> Result<f64, String> {
    number(text, "a number from 0 to 1e12", |x| (0.0..=1e12).contains(&x))
}

/// Parses a physical quantity above 0.
pub(crate) fn positive(text: &str) -> Result<f64, String> {
    number(text, "a number above 0 and at most 1e12", |x| x > 0.0 && x <= 1e12)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn out_of_range_numbers_are_rejected_with_the_range() {
        assert_eq!(threads("0"), Ok(0));
        for text in ["18446744073709551615", "18446744073709551616", "100000", "-1", "1.5", ""] {
            let why = threads(text).unwrap_err();
            assert!(why.contains("from 0 to 1024"), "{text}: {why}");
        }
        for (text, seconds) in [("90s", 90), ("30m", 1800), ("1h30m", 5400), ("2h", 7200), ("1h1m1s", 3661), ("1.5m", 90)] {
            assert_eq!(time(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "30", "m", "1m1h", "1m2m", "0s", "0.5s", "9999h999h", "1e9h", "-1m", "1d", "1µ", "nan", "1..5m"] {
            assert!(time(text).unwrap_err().contains("30m"), "{text}");
        }
        assert_eq!(learning_rate("3e-3"), Ok(0.003));
        for text in ["-1", "0", "nan", "inf", "-inf", "1e308", "x"] {
            assert!(learning_rate(text).is_err(), "{text}");
        }
        for text in ["nan", "inf", "1e308", "-0.1"] {
            assert!(seconds(text).is_err() && minutes(text).is_err() && share(text).is_err() && amount(text).is_err(), "{text}");
        }
        assert_eq!((share("0"), share("1").is_err(), positive("0").is_err(), amount("0")), (Ok(0.0), true, true, Ok(0.0)));
    }
}

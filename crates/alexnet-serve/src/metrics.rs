//! Prometheus metrics in text format.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Metrics of a server.
pub(crate) struct Metrics {
    /// Answers by route and status.
    requests: Mutex<BTreeMap<(&'static str, u16), u64>>,
    /// Time from the first byte of a request to its answer.
    pub(crate) duration: Histogram,
    /// Inputs per batch.
    pub(crate) batch: Histogram,
    /// Time that jobs wait for the engine.
    pub(crate) wait: Histogram,
    /// Time to decode, resize and crop an image.
    pub(crate) decode: Histogram,
    /// Time of a batch in the network.
    pub(crate) compute: Histogram,
    pub(crate) reloads: AtomicU64,
    pub(crate) failed_reloads: AtomicU64,
}

/// Bucket bounds in seconds: from a tenth of a millisecond to ten seconds.
const SECONDS: &[f64] = &[0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
const INPUTS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

impl Default for Metrics {
    fn default() -> Self {
        Metrics {
            requests: Mutex::default(),
            duration: Histogram::new(SECONDS),
            batch: Histogram::new(INPUTS),
            wait: Histogram::new(SECONDS),
            decode: Histogram::new(SECONDS),
            compute: Histogram::new(SECONDS),
            reloads: AtomicU64::new(0),
            failed_reloads: AtomicU64::new(0),
        }
    }
}

/// Current values.
pub(crate) struct Gauges {
    /// Requests in progress.
    pub(crate) in_hand: usize,
    /// Model, and number of inputs waiting for its engine.
    pub(crate) waiting: Vec<(String, usize)>,
}

impl Metrics {
    /// Counts an answer.
    pub(crate) fn answered(&self, route: &'static str, status: u16) {
        *self.requests.lock().unwrap_or_else(PoisonError::into_inner).entry((route, status)).or_default() += 1;
    }

    /// Formats all metrics.
    pub(crate) fn text(&self, gauges: &Gauges) -> String {
        let mut text = String::new();
        let head = |text: &mut String, name: &str, kind: &str, help: &str| {
            let _ = writeln!(text, "# HELP alexnet_{name} {help}\n# TYPE alexnet_{name} {kind}");
        };
        head(&mut text, "requests_total", "counter", "Answers by route and HTTP status.");
        for ((route, status), count) in self.requests.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let _ = writeln!(text, "alexnet_requests_total{{route=\"{route}\",status=\"{status}\"}} {count}");
        }
        head(&mut text, "requests_in_hand", "gauge", "Requests being read, decoded, waiting or computed.");
        let _ = writeln!(text, "alexnet_requests_in_hand {}", gauges.in_hand);
        head(&mut text, "queue_inputs", "gauge", "Inputs waiting for the engine, by model.");
        for (model, waiting) in &gauges.waiting {
            let _ = writeln!(text, "alexnet_queue_inputs{{model=\"{model}\"}} {waiting}");
        }
        for (name, counter, help) in [
            ("reloads_total", &self.reloads, "Models reloaded from changed files."),
            ("failed_reloads_total", &self.failed_reloads, "Changed model files that could not be loaded."),
        ] {
            head(&mut text, name, "counter", help);
            let _ = writeln!(text, "alexnet_{name} {}", counter.load(Ordering::Relaxed));
        }
        for (name, histogram, help) in [
            ("request_seconds", &self.duration, "Time from a request's header to its answer."),
            ("queue_seconds", &self.wait, "Time that inputs waited for the engine."),
            ("decode_seconds", &self.decode, "Time to decode, resize and crop an image."),
            ("compute_seconds", &self.compute, "Time of a batch in the network."),
            ("batch_size", &self.batch, "Inputs in a batch."),
        ] {
            head(&mut text, name, "histogram", help);
            histogram.write(&mut text, name);
        }
        text
    }
}

/// Histogram with fixed bucket bounds.
pub(crate) struct Histogram {
    bounds: &'static [f64],
    inner: Mutex<Counts>,
}

struct Counts {
    /// Counts per bucket; the last one is for values above all bounds.
    counts: Vec<u64>,
    sum: f64,
}

impl Histogram {
    fn new(bounds: &'static [f64]) -> Histogram {
        Histogram { bounds, inner: Mutex::new(Counts { counts: vec![0; bounds.len() + 1], sum: 0.0 }) }
    }

    /// Records a value.
    pub(crate) fn observe(&self, value: f64) {
        let bucket = self.bounds.iter().position(|&bound| value <= bound).unwrap_or(self.bounds.len());
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.counts[bucket] += 1;
        inner.sum += value;
    }

    fn write(&self, text: &mut String, name: &str) {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let mut total = 0;
        for (i, count) in inner.counts.iter().enumerate() {
            total += count;
            let bound = self.bounds.get(i).map_or("+Inf".into(), f64::to_string);
            let _ = writeln!(text, "alexnet_{name}_bucket{{le=\"{bound}\"}} {total}");
        }
        let _ = writeln!(text, "alexnet_{name}_sum {}\nalexnet_{name}_count {total}", inner.sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histograms_are_cumulative_with_inclusive_bounds() {
        let histogram = Histogram::new(&[1.0, 2.0]);
        [0.5, 1.0, 1.5, 7.0].iter().for_each(|&value| histogram.observe(value));
        let mut text = String::new();
        histogram.write(&mut text, "x");
        let expected = ["alexnet_x_bucket{le=\"1\"} 2", "alexnet_x_bucket{le=\"2\"} 3", "alexnet_x_bucket{le=\"+Inf\"} 4"];
        assert_eq!(text.lines().collect::<Vec<_>>(), [&expected[..], &["alexnet_x_sum 10", "alexnet_x_count 4"]].concat());
    }
}

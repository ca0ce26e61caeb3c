//! Changes of single layers' learning rates during a run, as the authors of 2012 made them by hand.

use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// A change of a layer's learning rate, written as `[n, d, layer, times]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "(usize, usize, String, f64)", into = "(usize, usize, String, f64)")]
pub struct RateChange {
    /// Fraction of the run, numerator and denominator: it holds from epoch floor(epochs * n / d) on, counted from 0.
    pub at: [usize; 2],
    /// Name of the layer, or `head` for the last one.
    pub layer: String,
    /// Multiplier from then on, on top of that of `layer_rates`; 0 freezes the layer.
    pub times: f64,
}

impl RateChange {
    /// The epoch from which the change holds in a run of `epochs` epochs.
    pub fn epoch(&self, epochs: usize) -> usize {
        epochs * self.at[0] / self.at[1].max(1)
    }

    /// Checks a recipe's changes.
    ///
    /// # Errors
    /// A fraction or a multiplier is out of range.
    pub(super) fn check(changes: &[RateChange]) -> Result<()> {
        let sound = |change: &RateChange| {
            let ([n, d], times) = (change.at, change.times);
            n <= d && d > 0 && times >= 0.0 && (times as f32).is_finite() && !change.layer.is_empty()
        };
        match changes.iter().find(|change| !sound(change)) {
            Some(RateChange { at: [n, d], layer, times }) => Err(Error::Invalid(format!(
                "invalid layer_rate_changes [{n}, {d}, {layer:?}, {times}]: expected a fraction of the run, a layer and a multiplier \
                 of at least 0, such as [67, 91, \"conv1\", 0.1]"
            ))),
            None => Ok(()),
        }
    }
}

impl From<(usize, usize, String, f64)> for RateChange {
    fn from((n, d, layer, times): (usize, usize, String, f64)) -> RateChange {
        RateChange { at: [n, d], layer, times }
    }
}

impl From<RateChange> for (usize, usize, String, f64) {
    fn from(change: RateChange) -> Self {
        (change.at[0], change.at[1], change.layer, change.times)
    }
}

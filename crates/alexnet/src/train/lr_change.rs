//! Changes of the learning rate by hand: `alexnet train --resume RUN --lr X`, as the authors of 2012 lowered it.

use serde::{Deserialize, Serialize};

/// A learning rate given by hand for the rest of a run, in which the schedule keeps its shape: its rates are multiplied by what made
/// the given rate of its own.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LrChange {
    /// Steps done before: the first one with the rate has the next number.
    pub step: u64,
    /// The rate of that step.
    pub lr: f64,
    /// Multiplier of the schedule's rates from then on: the rate divided by the schedule's own.
    pub times: f64,
}

impl LrChange {
    /// Multiplier of the schedule's rate for the step after `step` others.
    pub(super) fn times_at(changes: &[LrChange], step: u64) -> f64 {
        changes.iter().rev().find(|change| change.step <= step).map_or(1.0, |change| change.times)
    }
}

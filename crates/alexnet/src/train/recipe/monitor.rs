//! Monitored metric: it selects the best model, ends a run that no longer improves, and lowers the rate of a plateau schedule.

use crate::train::state::EpochMetrics;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Metric by which epochs are compared: on the validation images or, without any, in training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Monitor {
    /// Top-1 accuracy.
    #[default]
    Top1,
    /// Loss; the lowest is the best.
    Loss,
    /// Macro-F1: the mean F1 of the classes, whatever their numbers of images. It needs validation images.
    MacroF1,
}

impl Monitor {
    /// The names of all metrics.
    pub const NAMES: [&str; 3] = ["top1", "loss", "macro-f1"];

    /// The metric of a name.
    pub fn of_name(name: &str) -> Option<Monitor> {
        [Monitor::Top1, Monitor::Loss, Monitor::MacroF1].into_iter().find(|monitor| monitor.name() == name)
    }

    /// Name in recipes and options.
    pub fn name(self) -> &'static str {
        match self {
            Monitor::Top1 => "top1",
            Monitor::Loss => "loss",
            Monitor::MacroF1 => "macro-f1",
        }
    }

    /// Whether it is the default.
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    pub fn is_default(&self) -> bool {
        *self == Monitor::default()
    }

    /// Score of an epoch, at least 0; higher is better.
    pub fn score(self, row: &EpochMetrics) -> f64 {
        self.score_of(row.top1(), row.loss(), row.val.and_then(|val| val.macro_f1))
    }

    /// Score of an epoch with these metrics.
    pub fn score_of(self, top1: f64, loss: f64, macro_f1: Option<f64>) -> f64 {
        match self {
            Monitor::Top1 => top1,
            Monitor::Loss => 1.0 / (1.0 + loss),
            Monitor::MacroF1 => macro_f1.unwrap_or_default(),
        }
    }

    /// Whether an epoch is better than another: a higher score, or an equal one with a lower loss.
    pub fn is_better(self, row: &EpochMetrics, than: &EpochMetrics) -> bool {
        let (score, best) = (self.score(row), self.score(than));
        score > best || (score == best && row.loss() < than.loss())
    }

    /// The epoch's value as text, such as `macro-F1 71.20 %`.
    pub fn describe(self, row: &EpochMetrics) -> String {
        match self {
            Monitor::Top1 => format!("top-1 {:.2} %", row.top1() * 100.0),
            Monitor::Loss => format!("loss {:.4}", row.loss()),
            Monitor::MacroF1 => format!("macro-F1 {:.2} %", self.score(row) * 100.0),
        }
    }
}

impl fmt::Display for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

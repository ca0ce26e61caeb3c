//! Snapshots: models of single epochs, `RUN/epoch-0010.safetensors`, and which of them remain.

use super::recipe::Monitor;
use super::state::EpochMetrics;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Snapshots of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshots {
    /// Interval in epochs; 0: no snapshots.
    pub every: usize,
    /// Which ones remain.
    #[serde(default, skip_serializing_if = "Keep::is_all")]
    pub keep: Keep,
}

/// Which snapshots remain; others are deleted once a newer one is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Keep {
    /// `all`.
    #[default]
    All,
    /// `last:N`: the last N.
    Last(usize),
    /// `best:N`: the best N by the monitored metric.
    Best(usize),
}

impl Keep {
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    fn is_all(&self) -> bool {
        *self == Keep::All
    }
}

impl fmt::Display for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Keep::All => f.write_str("all"),
            Keep::Last(n) => write!(f, "last:{n}"),
            Keep::Best(n) => write!(f, "best:{n}"),
        }
    }
}

impl FromStr for Keep {
    type Err = Error;

    fn from_str(text: &str) -> Result<Keep> {
        let count = |n: &str| n.parse().ok().filter(|&n| n > 0);
        let found = match text.split_once(':') {
            None if text == "all" => Some(Keep::All),
            Some(("last", n)) => count(n).map(Keep::Last),
            Some(("best", n)) => count(n).map(Keep::Best),
            _ => None,
        };
        found.ok_or_else(|| Error::Invalid(format!("`{text}`: expected all, last:N or best:N, such as last:2")))
    }
}

impl From<Keep> for String {
    fn from(keep: Keep) -> String {
        keep.to_string()
    }
}

impl TryFrom<String> for Keep {
    type Error = Error;

    fn try_from(text: String) -> Result<Keep> {
        text.parse()
    }
}

impl Snapshots {
    /// Whether there are no snapshots.
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    pub fn is_none(&self) -> bool {
        self.every == 0
    }

    /// Whether an epoch, counted from 1, has a snapshot.
    pub fn is_due(&self, epoch: usize) -> bool {
        epoch > 0 && self.every > 0 && epoch.is_multiple_of(self.every)
    }

    /// Number of snapshots that remain after this many epochs.
    pub fn remaining(&self, epochs: usize) -> usize {
        let due = epochs.checked_div(self.every).unwrap_or(0);
        match self.keep {
            Keep::All => due,
            Keep::Last(n) | Keep::Best(n) => due.min(n),
        }
    }

    /// The epochs up to the last of `rows` whose snapshots remain, and those whose snapshots do not.
    pub(super) fn divide(&self, rows: &[EpochMetrics], monitor: Monitor) -> (Vec<usize>, Vec<usize>) {
        let mut due: Vec<&EpochMetrics> = rows.iter().filter(|row| self.is_due(row.epoch)).collect();
        let kept = match self.keep {
            Keep::All => due.len(),
            Keep::Last(n) => {
                due.reverse();
                n
            }
            Keep::Best(n) => {
                // A stable sort: of equals the earlier remains.
                due.sort_by(|a, b| monitor.is_better(b, a).cmp(&monitor.is_better(a, b)));
                n
            }
        };
        let epochs: Vec<usize> = due.into_iter().map(|row| row.epoch).collect();
        let (kept, others) = epochs.split_at(kept.min(epochs.len()));
        (kept.to_vec(), others.to_vec())
    }
}

/// Name of an epoch's snapshot.
pub fn file_name(epoch: usize) -> String {
    format!("epoch-{epoch:04}.safetensors")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::state::Validation;

    #[test]
    fn the_last_or_the_best_remain() {
        let row = |(i, top1): (usize, f64)| EpochMetrics {
            epoch: i,
            step: 1,
            lr: None,
            train_loss: None,
            train_top1: None,
            val: Some(Validation { loss: 1.0 - top1, top1, top5: 1.0, macro_f1: Some(1.0 - top1) }),
            broken: 0,
        };
        let rows: Vec<_> = [0.9, 0.1, 0.5, 0.2, 0.6, 0.3, 0.5].into_iter().enumerate().map(row).collect();
        let divide = |every, keep: &str, monitor| {
            let snapshots = Snapshots { every, keep: keep.parse().unwrap() };
            let found = snapshots.divide(&rows, monitor);
            assert_eq!(snapshots.remaining(6), found.0.len());
            found
        };
        assert_eq!(divide(2, "all", Monitor::Top1), (vec![2, 4, 6], vec![]));
        assert_eq!(divide(1, "last:2", Monitor::Top1), (vec![6, 5], vec![4, 3, 2, 1]));
        assert_eq!(divide(1, "best:2", Monitor::Top1), (vec![4, 2], vec![6, 5, 3, 1]));
        assert_eq!(divide(1, "best:2", Monitor::Loss), (vec![4, 2], vec![6, 5, 3, 1]));
        assert_eq!(divide(2, "best:1", Monitor::MacroF1), (vec![2], vec![6, 4]));
        assert_eq!(divide(5, "best:3", Monitor::Top1), (vec![5], vec![]));
        assert_eq!(divide(0, "all", Monitor::Top1), (vec![], vec![]));
        for wrong in ["last", "last:0", "best:-1", "first:2", "2", "", "last:2:3"] {
            assert!(wrong.parse::<Keep>().unwrap_err().to_string().contains("last:2"), "{wrong}");
        }
        let text = toml::to_string(&Snapshots { every: 3, keep: Keep::Best(2) }).unwrap();
        assert_eq!(text, "every = 3\nkeep = \"best:2\"\n");
        assert_eq!(toml::from_str::<Snapshots>(&text).unwrap(), Snapshots { every: 3, keep: Keep::Best(2) });
    }
}

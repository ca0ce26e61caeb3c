//! Learning-rate schedules.

use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// Learning-rate schedule. Epochs count from 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Schedule {
    /// Constant learning rate.
    Constant,
    /// Divides by `by` at given fractions of the run: from epoch floor(epochs * n / d) on for each `[n, d]`.
    Steps {
        /// Numerators and denominators.
        at: Vec<[usize; 2]>,
        /// Divisor.
        by: f64,
    },
    /// Divides by `by` every `epochs` epochs, whatever the length of the run.
    Every {
        /// Epochs.
        epochs: usize,
        /// Divisor.
        by: f64,
    },
    /// Divides by `by`, at most `times` times, whenever validation has not improved for `patience` epochs.
    Plateau {
        /// Epochs without an improvement of the monitored metric.
        patience: usize,
        /// Divisor.
        by: f64,
        /// Maximum number of divisions.
        times: u32,
    },
    /// Linear warm-up over the first fraction of all steps, then half a cosine down towards 0.
    WarmupCosine {
        /// Fraction of all steps, 0 to 1.
        warmup: f64,
    },
    /// Linear warm-up over the first epochs, then `(1 - fraction of the remaining steps)^power` down towards 0.
    WarmupPoly {
        /// Epochs, possibly fractional; at most half of the run.
        epochs: f64,
        /// Exponent.
        power: f64,
    },
}

/// Progress of a run, as input to a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Epoch, from 0.
    pub epoch: usize,
    /// Step of the whole run, from 0.
    pub step: u64,
    /// Steps in an epoch.
    pub steps_per_epoch: u64,
    /// Number of times a plateau has lowered the rate.
    pub drops: u32,
}

impl Schedule {
    /// The learning rate at a given progress of a run of `epochs` epochs with base rate `lr`.
    pub fn lr_at(&self, lr: f64, epochs: usize, at: Progress) -> f64 {
        let all = (epochs as u64 * at.steps_per_epoch).max(1) as f64;
        // Use the middle of the step, so that neither the first nor the last step has a rate of 0.
        let step = at.step as f64 + 0.5;
        match self {
            Schedule::Constant => lr,
            Schedule::Steps { at: shares, by } => {
                let passed = shares.iter().filter(|[n, d]| at.epoch >= epochs * n / (*d).max(1)).count();
                lr / by.powi(passed as i32)
            }
            Schedule::Every { epochs, by } => lr / by.powi((at.epoch / (*epochs).max(1)) as i32),
            Schedule::Plateau { by, .. } => lr / by.powi(at.drops as i32),
            Schedule::WarmupCosine { warmup } => {
                let rise = (all * warmup).floor();
                if step < rise {
                    lr * step / rise
                } else {
                    lr * 0.5 * (1.0 + (std::f64::consts::PI * (step - rise) / (all - rise)).cos()).max(0.0)
                }
            }
            Schedule::WarmupPoly { epochs, power } => {
                // Limit the warm-up, so that a short run still decays.
                let rise = (epochs * at.steps_per_epoch as f64).min(all / 2.0).floor();
                if step < rise { lr * step / rise } else { lr * (1.0 - (step - rise) / (all - rise)).max(0.0).powf(*power) }
            }
        }
    }

    /// Validates the settings.
    ///
    /// # Errors
    /// A message that names the invalid setting.
    pub fn check(&self) -> Result<()> {
        match *self {
            Schedule::WarmupPoly { epochs, power }
                if !(epochs >= 0.0 && epochs.is_finite() && power > 0.0 && power.is_finite()) =>
            {
                let message =
                    format!("invalid schedule: {epochs} epochs of warm-up, power {power}; both must be finite and positive");
                Err(Error::Invalid(message))
            }
            _ => Ok(()),
        }
    }
}

/// State of a schedule: [`Schedule::Plateau`] lowers the rate depending on validation results.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScheduleState {
    /// Best score by the monitored metric.
    pub best: f64,
    /// Epochs since then, or since the rate was last lowered.
    pub waited: usize,
    /// Number of times the rate has been lowered.
    pub drops: u32,
}

impl ScheduleState {
    /// Records an epoch's score by the monitored metric; higher is better.
    pub fn observe(&mut self, score: f64, schedule: &Schedule) {
        let Schedule::Plateau { patience, times, .. } = *schedule else { return };
        if score > self.best {
            self.best = score;
            self.waited = 0;
            return;
        }
        self.waited += 1;
        if self.waited >= patience && self.drops < times {
            self.drops += 1;
            self.waited = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plateau_waits_drops_and_stops() {
        let schedule = Schedule::Plateau { patience: 2, by: 10.0, times: 2 };
        let mut plateau = ScheduleState::default();
        let drops: Vec<u32> = [0.1, 0.2, 0.2, 0.15, 0.3, 0.3, 0.2, 0.1, 0.1, 0.0]
            .into_iter()
            .map(|top1| {
                plateau.observe(top1, &schedule);
                plateau.drops
            })
            .collect();
        // Lowered after two epochs without improvement (4th), again after the two that follow the 5th, and not a
        // third time.
        assert_eq!(drops, [0, 0, 0, 1, 1, 1, 2, 2, 2, 2]);
        let mut constant = ScheduleState::default();
        (0..9).for_each(|_| constant.observe(0.1, &Schedule::Constant));
        assert_eq!(constant, ScheduleState::default());
    }
}

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
    /// Half a cosine down to a fraction of the initial rate.
    Cosine {
        /// The final rate, as a fraction of the initial one.
        #[serde(default)]
        final_fraction: f64,
    },
    /// `(1 - fraction of the steps)^power` down to a fraction of the initial rate.
    Polynomial {
        /// Exponent; 1 is a line.
        #[serde(default = "default_power")]
        power: f64,
        /// The final rate, as a fraction of the initial one.
        #[serde(default)]
        final_fraction: f64,
    },
    /// Divides by `by` every `epochs` epochs, as [`Schedule::Every`] does, but a little at each step.
    Exponential {
        /// Epochs, possibly fractional.
        epochs: f64,
        /// Divisor.
        by: f64,
    },
    /// One cycle (Smith and Topin 2017): half a cosine up from a fraction of the rate, then half a cosine down to a small fraction.
    OneCycle {
        /// Fraction of all steps in which the rate rises.
        #[serde(default = "default_rise")]
        rise: f64,
        /// The first rate, as a fraction of the highest.
        #[serde(default = "default_start_fraction")]
        start_fraction: f64,
        /// The final rate, as a fraction of the highest.
        #[serde(default = "default_one_cycle_final_fraction")]
        final_fraction: f64,
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

fn default_power() -> f64 {
    1.0
}

// Those of PyTorch's OneCycleLR.
fn default_rise() -> f64 {
    0.3
}

fn default_start_fraction() -> f64 {
    0.04
}

fn default_one_cycle_final_fraction() -> f64 {
    4e-6
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
    /// The learning rate at a given progress of a run of `epochs` epochs with base rate `lr`, after a linear warm-up of `warmup`
    /// steps.
    pub fn lr_at(&self, lr: f64, epochs: usize, warmup: u64, at: Progress) -> f64 {
        let all = (epochs as u64 * at.steps_per_epoch).max(1);
        // Fraction of the steps after warm-up that have passed; as in PyTorch, 0 at the first one and below 1 at the last.
        let fraction = at.step.saturating_sub(warmup) as f64 / all.saturating_sub(warmup).max(1) as f64;
        let rises = if at.step < warmup { (at.step + 1) as f64 / (warmup + 1) as f64 } else { 1.0 };
        rises * self.lr_without_warmup(lr, epochs, fraction.min(1.0), at)
    }

    fn lr_without_warmup(&self, lr: f64, epochs: usize, fraction: f64, at: Progress) -> f64 {
        let steps = (epochs as u64 * at.steps_per_epoch).max(1);
        let all = steps as f64;
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
            Schedule::Cosine { final_fraction } => lr * cosine(1.0, *final_fraction, fraction),
            Schedule::Polynomial { power, final_fraction } => {
                lr * (final_fraction + (1.0 - final_fraction) * (1.0 - fraction).powf(*power))
            }
            Schedule::Exponential { epochs, by } => lr / by.powf(at.step as f64 / (epochs * at.steps_per_epoch.max(1) as f64)),
            Schedule::OneCycle { rise, start_fraction, final_fraction } => {
                // As in PyTorch, the rate is highest at step rise * all - 1, and the last step has the final rate.
                let (step, top, last) = (at.step as f64, (all * rise - 1.0).max(0.0), (all - 1.0).max(1.0));
                if step < top {
                    lr * cosine(*start_fraction, 1.0, step / top)
                } else {
                    lr * cosine(1.0, *final_fraction, ((step - top) / (last - top).max(1.0)).min(1.0))
                }
            }
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

    /// Whether the schedule has a rise of its own, so that a recipe cannot add a warm-up.
    pub fn warms_up(&self) -> bool {
        matches!(self, Schedule::WarmupCosine { .. } | Schedule::WarmupPoly { .. } | Schedule::OneCycle { .. })
    }

    /// Validates the settings.
    ///
    /// # Errors
    /// A message that names the invalid setting.
    pub fn check(&self) -> Result<()> {
        let invalid = |what: &str, value: f64, range: &str| {
            Err(Error::Invalid(format!("invalid schedule: {what} {value}: must be {range} and finite")))
        };
        let fraction = |value: f64| (0.0..=1.0).contains(&value);
        let divides = |value: f64| value > 0.0 && value.is_finite();
        match *self {
            Schedule::Steps { by, .. } | Schedule::Every { by, .. } | Schedule::Plateau { by, .. } if !divides(by) => {
                invalid("by", by, "positive")
            }
            Schedule::Exponential { by, .. } if !divides(by) => invalid("by", by, "positive"),
            Schedule::Exponential { epochs, .. } if !divides(epochs) => invalid("epochs", epochs, "positive"),
            Schedule::Every { epochs: 0, .. } => invalid("epochs", 0.0, "at least 1"),
            Schedule::Steps { ref at, .. } if at.iter().any(|[_, d]| *d == 0) => {
                invalid("a denominator of at", 0.0, "at least 1")
            }
            Schedule::WarmupCosine { warmup } if !fraction(warmup) => invalid("warmup", warmup, "0 to 1"),
            Schedule::Cosine { final_fraction: end } | Schedule::Polynomial { final_fraction: end, .. } if !fraction(end) => {
                invalid("final_fraction", end, "0 to 1")
            }
            Schedule::Polynomial { power, .. } if !divides(power) => invalid("power", power, "positive"),
            Schedule::OneCycle { rise, start_fraction, final_fraction } => {
                let settings = [("rise", rise), ("start_fraction", start_fraction), ("final_fraction", final_fraction)];
                match settings.into_iter().find(|(_, value)| !fraction(*value)) {
                    Some((what, value)) => invalid(what, value, "0 to 1"),
                    None => Ok(()),
                }
            }
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

/// Half a cosine from one value to another.
fn cosine(from: f64, to: f64, fraction: f64) -> f64 {
    to + (from - to) * 0.5 * (1.0 + (std::f64::consts::PI * fraction).cos())
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
    use super::super::Monitor;
    use super::*;

    #[test]
    fn a_plateau_waits_drops_and_stops() {
        let schedule = Schedule::Plateau { patience: 2, by: 10.0, times: 2 };
        let values = [0.1, 0.2, 0.2, 0.15, 0.3, 0.3, 0.2, 0.1, 0.1, 0.0];
        let drops = |scores: &[f64]| -> Vec<u32> {
            let mut plateau = ScheduleState::default();
            let each = scores.iter().map(|&score| {
                plateau.observe(score, &schedule);
                plateau.drops
            });
            each.collect()
        };
        // Lowered after two epochs without improvement (4th), again after the two that follow the 5th, and not a
        // third time.
        let expected = [0, 0, 0, 1, 1, 1, 2, 2, 2, 2];
        assert_eq!(drops(&values), expected);
        let of_loss = values.map(|value| Monitor::Loss.score_of(0.5, 5.0 - value, None));
        assert_eq!(drops(&of_loss), expected);
        let mut constant = ScheduleState::default();
        (0..9).for_each(|_| constant.observe(0.1, &Schedule::Constant));
        assert_eq!(constant, ScheduleState::default());
    }

    #[test]
    fn schedules_are_those_of_pytorch() {
        #[derive(Deserialize)]
        struct Golden {
            schedule: Schedule,
            epochs: usize,
            steps_per_epoch: u64,
            warmup: u64,
            lr: f64,
            /// Losses after each epoch, for a plateau.
            #[serde(default)]
            losses: Vec<f64>,
            rates: Vec<f64>,
        }
        let golden: Vec<Golden> = serde_json::from_str(include_str!("../../../tests/fixtures/schedules.json")).unwrap();
        assert!(golden.len() >= 10);
        for Golden { schedule, epochs, steps_per_epoch, warmup, lr, losses, rates } in golden {
            schedule.check().unwrap();
            assert_eq!(rates.len() as u64, epochs as u64 * steps_per_epoch);
            let mut state = ScheduleState::default();
            for (step, &expected) in (0..).zip(&rates) {
                let epoch = (step / steps_per_epoch) as usize;
                let found = schedule.lr_at(lr, epochs, warmup, Progress { epoch, step, steps_per_epoch, drops: state.drops });
                assert!((found - expected).abs() < 1e-9 * lr, "{schedule:?} at step {step}: {found}, not {expected}");
                if let (0, Some(&loss)) = ((step + 1) % steps_per_epoch, losses.get(epoch)) {
                    state.observe(Monitor::Loss.score_of(0.0, loss, None), &schedule);
                }
            }
        }
    }

    #[test]
    fn settings_out_of_range_are_named() {
        let cosine = |final_fraction| Schedule::Cosine { final_fraction };
        let one_cycle = |rise| Schedule::OneCycle { rise, start_fraction: 0.1, final_fraction: 0.0 };
        for (schedule, name) in [
            (cosine(-0.1), "final_fraction"),
            (cosine(f64::NAN), "final_fraction"),
            (Schedule::Polynomial { power: 0.0, final_fraction: 0.0 }, "power"),
            (one_cycle(1.5), "rise"),
            (Schedule::Every { epochs: 3, by: 0.0 }, "by"),
            (Schedule::Every { epochs: 0, by: 10.0 }, "epochs"),
            (Schedule::WarmupCosine { warmup: 2.0 }, "warmup"),
        ] {
            let message = schedule.check().unwrap_err().to_string();
            assert!(message.contains(name), "{message}");
        }
        // Runs of a single step have a rate.
        for schedule in [cosine(0.0), one_cycle(0.3), Schedule::Polynomial { power: 2.0, final_fraction: 0.0 }] {
            let at = Progress { steps_per_epoch: 1, ..Progress::default() };
            assert_eq!(schedule.lr_at(0.5, 1, 0, at), 0.5, "{schedule:?}");
        }
    }
}

//! Linear warm-up of the learning rate, in front of any schedule that has none of its own: step i of n has (i + 1) / (n + 1) of the
//! rate.

use super::{Recipe, Schedule};
use crate::{Error, Result};

impl Recipe {
    /// Number of steps of the warm-up in front of the schedule; at most half of the run, so that a short run still decays.
    pub fn warmup_steps(&self, steps_per_epoch: u64) -> u64 {
        let all = self.epochs as u64 * steps_per_epoch;
        let steps = self.warmup_epochs * steps_per_epoch as f64 + self.warmup_fraction * all as f64;
        (steps as u64).min(all / 2)
    }

    pub(super) fn check_warmup(&self) -> Result<()> {
        let (epochs, fraction) = (self.warmup_epochs, self.warmup_fraction);
        let invalid = |message: String| Err(Error::Invalid(message));
        if !(epochs >= 0.0 && epochs.is_finite()) {
            return invalid(format!("invalid warmup_epochs {epochs}: must be at least 0 and finite"));
        }
        if !(0.0..=1.0).contains(&fraction) {
            return invalid(format!("invalid warmup_fraction {fraction}: must be 0 to 1"));
        }
        if epochs > 0.0 && fraction > 0.0 {
            return invalid("warmup_epochs and warmup_fraction: set one of them to 0".into());
        }
        let own = match self.schedule {
            Schedule::WarmupCosine { .. } => "schedule.warmup",
            Schedule::WarmupPoly { .. } => "schedule.epochs",
            _ => "schedule.rise",
        };
        if (epochs > 0.0 || fraction > 0.0) && self.schedule.warms_up() {
            let name = if epochs > 0.0 { "warmup_epochs" } else { "warmup_fraction" };
            return invalid(format!(
                "{name}: this schedule has a warm-up of its own, {own}; set that, or a schedule without one: schedule.kind = \"cosine\""
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::train::recipe::{Recipe, Schedule, by_name};

    #[test]
    fn a_warm_up_takes_at_most_half_of_the_run() {
        let with = |epochs, warmup_epochs, warmup_fraction| Recipe {
            epochs,
            warmup_epochs,
            warmup_fraction,
            schedule: Schedule::Constant,
            lr: 1.0,
            ..by_name("quick").unwrap()
        };
        let steps = |epochs, of_epochs, fraction| with(epochs, of_epochs, fraction).warmup_steps(10);
        assert_eq!((steps(10, 1.5, 0.0), steps(10, 0.0, 0.05), steps(10, 0.0, 0.0)), (15, 5, 0));
        assert_eq!((steps(10, 9.0, 0.0), steps(3, 0.0, 1.0)), (50, 15));
        for (recipe, part) in [
            (with(9, -1.0, 0.0), "warmup_epochs -1"),
            (with(9, 0.0, f64::NAN), "warmup_fraction NaN"),
            (with(9, 1.0, 0.1), "one of them"),
            (Recipe { schedule: Schedule::WarmupCosine { warmup: 0.1 }, ..with(9, 1.0, 0.0) }, "of its own"),
        ] {
            let message = recipe.check().unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
        with(9, 2.0, 0.0).check().unwrap();
    }
}

//! Settings of the exponential moving average (EMA) of the weights.

use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// Exponential moving average of the weights. Validation and the saved best model are those of the average.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ema {
    /// Share of the average that a step keeps.
    pub decay: f64,
    /// Number of steps from one update of the average to the next, which keeps the product of their shares. An update reads
    /// and writes as many bytes as the weights have; with 8 it hardly takes time.
    pub every: usize,
    /// Whether step t keeps (1 + t) / (10 + t) at most, so that the average soon forgets the initial weights.
    pub warmup: bool,
}

impl Default for Ema {
    fn default() -> Ema {
        Ema { decay: 0.999, every: 8, warmup: true }
    }
}

impl Ema {
    /// Share that step number `step`, counted from 1, keeps.
    fn decay_of(&self, step: u64) -> f64 {
        let step = step as f64;
        if self.warmup { self.decay.min((1.0 + step) / (10.0 + step)) } else { self.decay }
    }

    /// Share that the update after `step` steps keeps; `None` if no update is due.
    pub fn decay_after(&self, step: u64) -> Option<f64> {
        let every = self.every.max(1) as u64;
        (step > 0 && step.is_multiple_of(every)).then(|| (step - every + 1..=step).map(|step| self.decay_of(step)).product())
    }

    /// Validates the settings.
    ///
    /// # Errors
    /// A message that names the invalid setting.
    pub fn check(&self) -> Result<()> {
        if !(0.0..1.0).contains(&self.decay) {
            return Err(Error::Invalid(format!("invalid ema.decay {}: must be at least 0 and below 1", self.decay)));
        }
        if self.every == 0 {
            return Err(Error::Invalid("invalid ema.every 0: must be at least 1".into()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_keeps_the_product_of_its_steps_shares() {
        let each = Ema { decay: 0.9, every: 1, warmup: true };
        assert_eq!(each.decay_after(0), None);
        assert_eq!(each.decay_after(1), Some(2.0 / 11.0));
        assert_eq!(each.decay_after(1000), Some(0.9));
        let third = Ema { every: 3, ..each };
        assert_eq!((third.decay_after(2), third.decay_after(4)), (None, None));
        let product = |steps: std::ops::RangeInclusive<u64>| steps.map(|step| each.decay_after(step).unwrap()).product::<f64>();
        assert_eq!(third.decay_after(3), Some(product(1..=3)));
        assert_eq!(third.decay_after(6), Some(product(4..=6)));
        assert_eq!(Ema { warmup: false, ..third }.decay_after(3), Some(0.9 * 0.9 * 0.9));
        assert!(Ema { decay: 1.0, ..each }.check().is_err() && Ema { every: 0, ..each }.check().is_err());
    }
}

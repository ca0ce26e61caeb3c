//! Linear warm-up of the learning rate, in front of any schedule that has none of its own.

use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// Length of a linear warm-up: step i of n has (i + 1) / (n + 1) of the rate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Warmup {
    /// Epochs, possibly fractional.
    Epochs(f64),
    /// Fraction of all steps.
    Fraction(f64),
}

impl Warmup {
    /// Number of steps in a run; at most half of it, so that a short run still decays.
    pub fn steps(self, epochs: usize, steps_per_epoch: u64) -> u64 {
        let all = epochs as u64 * steps_per_epoch;
        let steps = match self {
            Warmup::Epochs(epochs) => epochs * steps_per_epoch as f64,
            Warmup::Fraction(fraction) => fraction * all as f64,
        };
        (steps as u64).min(all / 2)
    }

    /// Validates the length.
    ///
    /// # Errors
    /// A message that names the invalid setting.
    pub fn check(self) -> Result<()> {
        let (name, value, valid) = match self {
            Warmup::Epochs(epochs) => ("epochs", epochs, epochs >= 0.0 && epochs.is_finite()),
            Warmup::Fraction(fraction) => ("fraction", fraction, (0.0..=1.0).contains(&fraction)),
        };
        if valid { Ok(()) } else { Err(Error::Invalid(format!("invalid warmup.{name} {value}"))) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warm_up_takes_at_most_half_of_the_run() {
        assert_eq!(Warmup::Epochs(1.5).steps(10, 10), 15);
        assert_eq!(Warmup::Fraction(0.05).steps(10, 10), 5);
        assert_eq!((Warmup::Epochs(9.0).steps(10, 10), Warmup::Fraction(1.0).steps(3, 3)), (50, 4));
        assert!(Warmup::Epochs(-1.0).check().is_err() && Warmup::Fraction(f64::NAN).check().is_err());
        assert!(Warmup::Epochs(3.0).check().is_ok());
    }
}

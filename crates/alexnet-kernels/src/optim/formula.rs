//! What an optimizer is made of: settings, and a formula over numbers.

use std::fmt::Debug;
use std::ops::{Add, Div, Mul, Neg, Sub};

use super::Rates;

/// An optimizer's settings.
pub trait Settings<const SLOTS: usize>: Debug + Default {
    /// The names of the values that it keeps for each value of a parameter, as state files have them.
    const SLOT_NAMES: [&'static str; SLOTS];

    /// Divisor of a learning rate for SGD, at which the optimizer moves parameters about as fast.
    const LR_DIVISOR: f64 = 1.0;

    /// One step with these settings.
    type Step: Formula<SLOTS>;

    /// Step number `step`, counted from 1.
    fn step(&self, rates: Rates, step: u64) -> Self::Step;

    /// Checks the settings.
    ///
    /// # Errors
    /// A line that names the setting.
    fn check(&self) -> Result<(), String>;

    /// The trust coefficient of LARS, for an optimizer that scales each layer's rate by the norms of its weights and gradient.
    fn lars_trust(&self) -> Option<f32> {
        None
    }
}

/// How one value of a parameter moves at one step, with `SLOTS` values of state.
pub trait Formula<const SLOTS: usize>: Copy + Send + Sync {
    /// The new value and state of a value `w` whose gradient is `g`.
    fn apply<V: Number>(&self, w: V, state: [V; SLOTS], g: V) -> (V, [V; SLOTS]);
}

/// What formulas compute with: a float, or a tensor of floats element by element.
pub trait Number:
    Clone
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + Add<f32, Output = Self>
    + Mul<f32, Output = Self>
{
    /// The square root.
    fn sqrt(self) -> Self;

    /// The absolute value.
    fn abs(self) -> Self;

    /// -1, 0 or 1.
    fn sign(self) -> Self;

    /// The larger of two.
    fn max(self, other: Self) -> Self;
}

impl Number for f32 {
    #[inline(always)]
    fn sqrt(self) -> Self {
        self.sqrt()
    }

    #[inline(always)]
    fn abs(self) -> Self {
        self.abs()
    }

    #[inline(always)]
    fn sign(self) -> Self {
        if self == 0.0 { self } else { self.signum() }
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        if self > other { self } else { other }
    }
}

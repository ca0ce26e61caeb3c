//! d^-beta, fast where beta is everyone's 0.75.

/// Which code raises to a power.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Power {
    /// beta = 0.75: square roots, which vectorise.
    ThreeQuarters,
    /// Any other beta: `powf`, value by value.
    Any,
}

impl Power {
    #[allow(clippy::float_cmp)] // Exactly 0.75 has the fast code.
    pub(crate) fn of(beta: f32) -> Self {
        if beta == 0.75 { Power::ThreeQuarters } else { Power::Any }
    }
}

/// d^-beta.
#[inline(always)]
pub(crate) fn negative<const FAST: bool>(d: f32, beta: f32) -> f32 {
    if FAST {
        let root = d.sqrt();
        1.0 / (root * root.sqrt())
    } else {
        d.powf(-beta)
    }
}

/// d^-beta and d^(-beta - 1).
#[inline(always)]
pub(crate) fn negative_and_next<const FAST: bool>(d: f32, beta: f32) -> (f32, f32) {
    if FAST {
        let root = d.sqrt();
        // d^-0.75 = d * d^-1.75: one division instead of two.
        let next = 1.0 / (d * root * root.sqrt());
        (d * next, next)
    } else {
        let power = d.powf(-beta);
        (power, power / d)
    }
}

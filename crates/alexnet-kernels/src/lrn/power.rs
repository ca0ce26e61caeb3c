//! d^-beta, fast for the usual beta of 0.75: for a register, and for single values in loops that the compiler vectorises.

use crate::simd::Vector;

/// Implementation of the power.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Power {
    /// beta = 0.75: multiplications or square roots, which vectorise.
    ThreeQuarters,
    /// Any other beta: `powf`, value by value.
    Any,
}

impl Power {
    #[allow(clippy::float_cmp)] // Only exactly 0.75 has the fast code.
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

/// d^-beta of each float.
///
/// # Safety
/// That of [`Vector`].
#[inline(always)]
pub(super) unsafe fn negatives<V: Vector, const FAST: bool>(d: V, beta: f32) -> V {
    // SAFETY: the caller's promise; the array is the widest register.
    unsafe {
        if FAST {
            three_quarters(d)
        } else {
            let mut values = [1.0f32; 16];
            d.store(values.as_mut_ptr());
            values[..V::WIDTH].iter_mut().for_each(|d| *d = d.powf(-beta));
            V::load(values.as_ptr())
        }
    }
}

/// d^-beta and d^(-beta - 1) of each float.
///
/// # Safety
/// That of [`Vector`].
#[inline(always)]
pub(super) unsafe fn negatives_and_next<V: Vector, const FAST: bool>(d: V, beta: f32) -> (V, V) {
    // SAFETY: the caller's promise.
    unsafe {
        if FAST {
            let z = three_quarters(d);
            // z^4 = d^-3, so 1 / d = z^2 (d z)^2, up to an error that a Newton step then removes.
            let (zz, t) = (z.mul(z), d.mul(z));
            let inverse = zz.mul(t).mul(t);
            (z, z.mul(inverse.add(inverse.mul(V::splat(1.0).sub(d.mul(inverse))))))
        } else {
            (negatives::<V, false>(d, beta), negatives::<V, false>(d, beta + 1.0))
        }
    }
}

/// d^-0.75 for positive d, with a relative error of at most 1.2e-7; two square roots and a division have 2.3e-7.
///
/// Two Newton steps for y^-4 = d reduce the estimate's error from 3 % to 6e-6; then y^3 = z, and a step for z^-4 = d^3 leaves
/// only rounding. Nothing is fused, so that the bits are the same on every CPU.
///
/// # Safety
/// That of [`Vector`].
#[inline(always)]
unsafe fn three_quarters<V: Vector>(d: V) -> V {
    // SAFETY: the caller's promise.
    unsafe {
        let mut y = d.fourth_root_guess();
        for _ in 0..2 {
            let yy = y.mul(y);
            y = y.mul(V::splat(1.25).sub(V::splat(0.25).mul(d.mul(yy).mul(yy))));
        }
        let z = y.mul(y).mul(y);
        let t = d.mul(z);
        z.add(z.mul(V::splat(0.25).mul(V::splat(1.0).sub(z.mul(t).mul(t).mul(t)))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::{Isa, dispatch};
    use crate::simd::Vectorized;

    struct Powers<'a>(&'a [f32; 16], &'a mut [f32; 16], &'a mut [f32; 16]);

    impl Vectorized for Powers<'_> {
        #[inline(always)]
        unsafe fn run<V: Vector>(self) {
            for at in (0..16).step_by(V::WIDTH) {
                // SAFETY: 16 values, a multiple of any width.
                unsafe {
                    let (power, next) = negatives_and_next::<V, true>(V::load(self.0[at..].as_ptr()), 0.75);
                    power.store(self.1[at..].as_mut_ptr());
                    next.store(self.2[at..].as_mut_ptr());
                }
            }
        }
    }

    #[test]
    fn fast_powers_are_within_rounding() {
        for isa in Isa::all_supported() {
            let (mut powers, mut nexts) = ([0.0; 16], [0.0; 16]);
            for i in 0..20_000 {
                // From 2^-60 to 2^60.
                let d: [f32; 16] = std::array::from_fn(|l| ((i * 16 + l) as f32 / 320_000.0 * 120.0 - 60.0).exp2());
                // SAFETY: nothing is asked for.
                unsafe { dispatch(isa, Powers(&d, &mut powers, &mut nexts)) };
                for ((d, power), next) in d.into_iter().zip(powers).zip(nexts) {
                    let exact = f64::from(d).powf(-0.75);
                    assert!((f64::from(power) / exact - 1.0).abs() < 1.5e-7, "{d}: {power}, not {exact}, by {isa}");
                    assert!((f64::from(next) * f64::from(d) / exact - 1.0).abs() < 3e-7, "{d}: {next} by {isa}");
                }
            }
            // Diverged training must remain visible.
            // SAFETY: as above.
            unsafe { dispatch(isa, Powers(&[f32::NAN; 16], &mut powers, &mut nexts)) };
            assert!(powers[0].is_nan() && nexts[0].is_nan());
        }
    }
}

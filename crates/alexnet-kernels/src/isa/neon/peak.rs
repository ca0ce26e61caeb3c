//! Peak multiply-adds of NEON.

use std::arch::aarch64::*;
use std::hint::black_box;

use super::products::{Bf16Pairs, BytesMixed, BytesSigned, Product};
use crate::roofline::{Factors, ROUNDS, SUMS, Spin};

/// Of a processor that widens shorter values.
pub(super) fn plain(_: Factors) -> Spin {
    // SAFETY: a context's instruction set is supported by the processor.
    Spin { lanes: 4, run: || unsafe { spin_floats() } }
}

pub(super) fn dotprod(factors: Factors) -> Spin {
    match factors {
        // SAFETY: as above.
        Factors::Bytes => Spin { lanes: 16, run: || unsafe { spin_dotprod() } },
        _ => plain(factors),
    }
}

pub(super) fn i8mm(factors: Factors) -> Spin {
    match factors {
        // SAFETY: as above.
        Factors::Bf16 => Spin { lanes: 8, run: || unsafe { spin_bf16() } },
        // SAFETY: as above.
        Factors::Bytes => Spin { lanes: 16, run: || unsafe { spin_i8mm() } },
        Factors::Floats => plain(factors),
    }
}

#[target_feature(enable = "neon")]
fn spin_floats() {
    let (a, b) = (vdupq_n_f32(black_box(0.5)), vdupq_n_f32(black_box(0.5)));
    // `fmla` adds to its first operand, so that the sums grow, to 2^18.
    let mut sums = [vdupq_n_f32(0.0); SUMS];
    for _ in 0..ROUNDS {
        for sum in &mut sums {
            *sum = vfmaq_f32(*sum, a, b);
        }
    }
    black_box(sums);
}

#[target_feature(enable = "neon,dotprod")]
fn spin_dotprod() {
    // SAFETY: this function has the features.
    unsafe { spin_zeros::<BytesSigned>() }
}

#[target_feature(enable = "neon,i8mm")]
fn spin_i8mm() {
    // SAFETY: as above.
    unsafe { spin_zeros::<BytesMixed>() }
}

#[target_feature(enable = "neon,bf16")]
fn spin_bf16() {
    // SAFETY: as above.
    unsafe { spin_zeros::<Bf16Pairs>() }
}

/// Multiplies zeros.
///
/// # Safety
/// That of `Product`.
#[inline(always)]
unsafe fn spin_zeros<P: Product>() {
    // SAFETY: the caller's promise.
    unsafe {
        let zeros = vdupq_n_f32(black_box(0.0));
        let (words, lanes) = (P::words(zeros), P::lanes(zeros));
        let mut sums = [zeros; SUMS];
        for _ in 0..ROUNDS {
            for sum in &mut sums {
                *sum = P::dot::<0>(words, lanes, *sum);
            }
        }
        black_box(sums);
    }
}

//! Peak multiply-adds of AVX-512.

use std::arch::x86_64::*;
use std::hint::black_box;

use crate::roofline::{Factors, ROUNDS, SUMS, Spin};

pub(super) fn peak(factors: Factors) -> Spin {
    match factors {
        // SAFETY: the feature was just detected.
        Factors::Bf16 if is_x86_feature_detected!("avx512bf16") => Spin { lanes: 32, run: || unsafe { spin_bf16() } },
        // SAFETY: as above.
        Factors::Bytes if is_x86_feature_detected!("avx512vnni") => Spin { lanes: 64, run: || unsafe { spin_bytes() } },
        // SAFETY: a context's instruction set is supported by the processor.
        _ => Spin { lanes: 16, run: || unsafe { spin_floats() } },
    }
}

#[target_feature(enable = "avx512f,avx512bf16")]
fn spin_bf16() {
    // Pairs of 0.0, which is all zero bits.
    let zeros: __m512 = _mm512_set1_ps(black_box(0.0));
    // SAFETY: both types are 512 bits of any value.
    let a = unsafe { std::mem::transmute::<__m512, __m512bh>(zeros) };
    let mut sums = [zeros; SUMS];
    for _ in 0..ROUNDS {
        for sum in &mut sums {
            *sum = _mm512_dpbf16_ps(*sum, a, a);
        }
    }
    black_box(sums);
}

#[target_feature(enable = "avx512f,avx512vnni")]
fn spin_bytes() {
    let (a, b) = (_mm512_set1_epi32(black_box(0)), _mm512_set1_epi32(black_box(0)));
    let mut sums = [a; SUMS];
    for _ in 0..ROUNDS {
        for sum in &mut sums {
            *sum = _mm512_dpbusd_epi32(*sum, a, b);
        }
    }
    black_box(sums);
}

#[target_feature(enable = "avx512f")]
fn spin_floats() {
    let (a, b) = (_mm512_set1_ps(black_box(0.5)), _mm512_set1_ps(black_box(0.5)));
    let mut sums = [_mm512_set1_ps(0.0); SUMS];
    for _ in 0..ROUNDS {
        for sum in &mut sums {
            *sum = _mm512_fmadd_ps(*sum, a, b);
        }
    }
    black_box(sums);
}

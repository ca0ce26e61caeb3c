//! Peak multiply-adds of AVX2.

use std::arch::x86_64::{_mm256_fmadd_ps, _mm256_set1_ps};
use std::hint::black_box;

use crate::roofline::{Factors, ROUNDS, SUMS, Spin};

pub(super) fn peak(_: Factors) -> Spin {
    // SAFETY: a context's instruction set is supported by the processor.
    Spin { lanes: 8, run: || unsafe { spin() } }
}

#[target_feature(enable = "avx2,fma")]
fn spin() {
    let (a, b) = (_mm256_set1_ps(black_box(0.5)), _mm256_set1_ps(black_box(0.5)));
    // Two of the sixteen registers hold a and b; more than twelve sums would be spilled.
    let mut sums = [_mm256_set1_ps(0.0); SUMS / 2];
    for _ in 0..2 * ROUNDS {
        for sum in &mut sums {
            *sum = _mm256_fmadd_ps(*sum, a, b);
        }
    }
    black_box(sums);
}

//! AVX2 and FMA: 6 rows of 2 registers of 8 lanes, so a panel takes two calls.

use std::arch::x86_64::*;

use super::body::{self, Vector};
use super::{Kernels, Raw};

impl Vector for __m256 {
    const WIDTH: usize = 8;

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the trait's conditions.
        unsafe { _mm256_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the trait's conditions.
        unsafe { _mm256_storeu_ps(to, self) }
    }

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        // SAFETY: the trait's conditions.
        unsafe { _mm256_set1_ps(value) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: the trait's conditions.
        unsafe { _mm256_add_ps(self, other) }
    }

    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, sum: Self) -> Self {
        // SAFETY: the trait's conditions.
        unsafe { _mm256_fmadd_ps(self, factor, sum) }
    }

    #[inline(always)]
    unsafe fn at_least(self, floor: Self) -> Self {
        // SAFETY: the trait's conditions. The instruction gives its second operand where either is not a number.
        unsafe { _mm256_max_ps(floor, self) }
    }

    #[inline(always)]
    unsafe fn where_positive(self, mask: Self) -> Self {
        // SAFETY: the trait's conditions.
        unsafe { _mm256_and_ps(self, _mm256_cmp_ps::<_CMP_GT_OQ>(mask, _mm256_setzero_ps())) }
    }
}

#[target_feature(enable = "avx2,fma")]
unsafe fn tile<const ROWS: usize, const NEXT: bool>(t: &Raw) {
    // SAFETY: the caller keeps `Kernel`'s conditions, and this function has the features.
    unsafe { body::tile::<__m256, ROWS, 2, NEXT>(t) }
}

pub(super) static KERNELS: Kernels = Kernels {
    apart: &[tile::<1, false>, tile::<2, false>, tile::<3, false>, tile::<4, false>, tile::<5, false>, tile::<6, false>],
    next: &[tile::<1, true>, tile::<2, true>, tile::<3, true>, tile::<4, true>, tile::<5, true>, tile::<6, true>],
    lanes: 16,
};

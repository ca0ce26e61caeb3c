//! AVX-512: 14 rows of 2 registers of 16 lanes; of one register where a panel is half empty.

use std::arch::x86_64::*;

use super::body::{self, Vector};
use super::{Kernels, Raw};

impl Vector for __m512 {
    const WIDTH: usize = 16;

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the trait's conditions.
        unsafe { _mm512_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the trait's conditions.
        unsafe { _mm512_storeu_ps(to, self) }
    }

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        // SAFETY: the trait's conditions.
        unsafe { _mm512_set1_ps(value) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: the trait's conditions.
        unsafe { _mm512_add_ps(self, other) }
    }

    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, sum: Self) -> Self {
        // SAFETY: the trait's conditions.
        unsafe { _mm512_fmadd_ps(self, factor, sum) }
    }

    #[inline(always)]
    unsafe fn at_least(self, floor: Self) -> Self {
        // SAFETY: the trait's conditions. The instruction gives its second operand where either is not a number.
        unsafe { _mm512_max_ps(floor, self) }
    }

    #[inline(always)]
    unsafe fn where_positive(self, mask: Self) -> Self {
        // SAFETY: the trait's conditions.
        unsafe { _mm512_maskz_mov_ps(_mm512_cmp_ps_mask::<_CMP_GT_OQ>(mask, _mm512_setzero_ps()), self) }
    }
}

#[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")]
unsafe fn tile<const ROWS: usize, const VECTORS: usize, const NEXT: bool>(t: &Raw) {
    // SAFETY: the caller keeps `Kernel`'s conditions, and this function has the features.
    unsafe { body::tile::<__m512, ROWS, VECTORS, NEXT>(t) }
}

pub(super) static FULL: Kernels = Kernels {
    apart: &[
        tile::<1, 2, false>,
        tile::<2, 2, false>,
        tile::<3, 2, false>,
        tile::<4, 2, false>,
        tile::<5, 2, false>,
        tile::<6, 2, false>,
        tile::<7, 2, false>,
        tile::<8, 2, false>,
        tile::<9, 2, false>,
        tile::<10, 2, false>,
        tile::<11, 2, false>,
        tile::<12, 2, false>,
        tile::<13, 2, false>,
        tile::<14, 2, false>,
    ],
    next: &[
        tile::<1, 2, true>,
        tile::<2, 2, true>,
        tile::<3, 2, true>,
        tile::<4, 2, true>,
        tile::<5, 2, true>,
        tile::<6, 2, true>,
        tile::<7, 2, true>,
        tile::<8, 2, true>,
        tile::<9, 2, true>,
        tile::<10, 2, true>,
        tile::<11, 2, true>,
        tile::<12, 2, true>,
        tile::<13, 2, true>,
        tile::<14, 2, true>,
    ],
    lanes: 32,
};

pub(super) static HALF: Kernels = Kernels {
    apart: &[
        tile::<1, 1, false>,
        tile::<2, 1, false>,
        tile::<3, 1, false>,
        tile::<4, 1, false>,
        tile::<5, 1, false>,
        tile::<6, 1, false>,
        tile::<7, 1, false>,
        tile::<8, 1, false>,
        tile::<9, 1, false>,
        tile::<10, 1, false>,
        tile::<11, 1, false>,
        tile::<12, 1, false>,
        tile::<13, 1, false>,
        tile::<14, 1, false>,
    ],
    next: &[
        tile::<1, 1, true>,
        tile::<2, 1, true>,
        tile::<3, 1, true>,
        tile::<4, 1, true>,
        tile::<5, 1, true>,
        tile::<6, 1, true>,
        tile::<7, 1, true>,
        tile::<8, 1, true>,
        tile::<9, 1, true>,
        tile::<10, 1, true>,
        tile::<11, 1, true>,
        tile::<12, 1, true>,
        tile::<13, 1, true>,
        tile::<14, 1, true>,
    ],
    lanes: 16,
};

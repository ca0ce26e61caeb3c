//! AVX2 kernel of 4-bit layers.

use std::arch::x86_64::*;

use crate::int4::kernels::{Inputs, Kernel, Nibbles, body};

/// AVX2, by pairs.
struct Eight;

impl Nibbles<__m256> for Eight {
    #[inline(always)]
    unsafe fn low(v: __m256) -> __m256 {
        // SAFETY: the trait's conditions.
        unsafe { _mm256_castsi256_ps(_mm256_and_si256(_mm256_castps_si256(v), _mm256_set1_epi8(0x0F))) }
    }

    #[inline(always)]
    unsafe fn high(v: __m256) -> __m256 {
        // SAFETY: the trait's conditions.
        unsafe { Self::low(_mm256_castsi256_ps(_mm256_srli_epi32::<4>(_mm256_castps_si256(v)))) }
    }

    #[inline(always)]
    unsafe fn dot(x: __m256, q: __m256, sum: __m256) -> __m256 {
        // SAFETY: the trait's conditions.
        unsafe {
            let (x, q, sum) = (_mm256_castps_si256(x), _mm256_castps_si256(q), _mm256_castps_si256(sum));
            let pairs = _mm256_maddubs_epi16(x, q);
            _mm256_castsi256_ps(_mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1))))
        }
    }
}

/// By number of images - 1.
pub(super) fn kernels() -> &'static [Kernel] {
    &[kernel::<1>]
}

#[target_feature(enable = "avx2,fma")]
unsafe fn kernel<const N: usize>(x: Inputs<'_>, w: &[u32], totals: &mut [f32]) {
    // SAFETY: the caller keeps `Kernel`'s conditions, and this function has the features.
    unsafe { body::<__m256, Eight, N, 4>(x, w, totals) }
}

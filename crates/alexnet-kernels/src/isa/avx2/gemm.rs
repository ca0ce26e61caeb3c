//! AVX2 and FMA microkernels: 6 rows of 2 registers of 8 lanes, so a panel takes two calls.

use std::arch::x86_64::*;

use crate::gemm::microkernel::{self, FLOAT_BLOCK, LONG_BLOCK, Terms};
use crate::gemm::{Family, Kernels, Raw, by_few_rows};
use crate::simd::Vector;

/// Products of floats.
struct Floats;

impl Terms<__m256> for Floats {
    const FLOATS: bool = true;
    const BLOCK: usize = FLOAT_BLOCK;

    #[inline(always)]
    unsafe fn dot(a: __m256, b: __m256, sum: __m256) -> __m256 {
        // SAFETY: the trait's conditions.
        unsafe { _mm256_fmadd_ps(a, b, sum) }
    }

    #[inline(always)]
    unsafe fn add(a: __m256, b: __m256) -> __m256 {
        // SAFETY: the trait's conditions.
        unsafe { _mm256_add_ps(a, b) }
    }
}

/// Pairs of bf16, each the upper half of a float.
struct Bf16Halves;

impl Terms<__m256> for Bf16Halves {
    const FLOATS: bool = true;
    const BLOCK: usize = LONG_BLOCK;

    #[inline(always)]
    unsafe fn dot(a: __m256, b: __m256, sum: __m256) -> __m256 {
        // SAFETY: the trait's conditions.
        unsafe {
            let low = _mm256_fmadd_ps(a.low_halves(), b.low_halves(), sum);
            _mm256_fmadd_ps(a.high_halves(), b.high_halves(), low)
        }
    }

    #[inline(always)]
    unsafe fn add(a: __m256, b: __m256) -> __m256 {
        // SAFETY: the trait's conditions.
        unsafe { _mm256_add_ps(a, b) }
    }
}

/// Four bytes by 16-bit pair products. (`vpmaddubsw` would saturate.)
struct BytesPairs;

impl Terms<__m256> for BytesPairs {
    const FLOATS: bool = false;
    const BLOCK: usize = LONG_BLOCK;

    #[inline(always)]
    unsafe fn dot(a: __m256, b: __m256, sum: __m256) -> __m256 {
        // SAFETY: the trait's conditions.
        unsafe {
            let (a, b, sum) = (_mm256_castps_si256(a), _mm256_castps_si256(b), _mm256_castps_si256(sum));
            // Bytes 0 and 2 of each word, then bytes 1 and 3.
            let even_a = _mm256_and_si256(a, _mm256_set1_epi16(0xFF));
            let odd_a = _mm256_srli_epi16::<8>(a);
            let even_b = _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(b));
            let odd_b = _mm256_srai_epi16::<8>(b);
            let both = _mm256_add_epi32(_mm256_madd_epi16(even_a, even_b), _mm256_madd_epi16(odd_a, odd_b));
            _mm256_castsi256_ps(_mm256_add_epi32(sum, both))
        }
    }

    #[inline(always)]
    unsafe fn add(a: __m256, b: __m256) -> __m256 {
        // SAFETY: the trait's conditions.
        unsafe { _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(a), _mm256_castps_si256(b))) }
    }
}

struct Plain<T, const NEXT: bool>(T);

impl<T: Terms<__m256>, const NEXT: bool> Family for Plain<T, NEXT> {
    #[target_feature(enable = "avx2,fma")]
    unsafe fn run<const ROWS: usize>(t: &Raw) {
        // SAFETY: the caller keeps `Kernel`'s conditions, and this function has the features.
        unsafe { microkernel::tile::<__m256, T, ROWS, 2, NEXT>(t) }
    }
}

fn plain<T: Terms<__m256>>() -> Kernels {
    Kernels { apart: by_few_rows::<Plain<T, false>>, next: by_few_rows::<Plain<T, true>>, lanes: 16, rows: 6 }
}

pub(super) fn floats(_: usize) -> Kernels {
    plain::<Floats>()
}

pub(super) fn bf16(_: usize) -> Kernels {
    plain::<Bf16Halves>()
}

pub(super) fn bytes(_: usize) -> Kernels {
    plain::<BytesPairs>()
}

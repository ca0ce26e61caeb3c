//! AVX2 and FMA registers: 8 floats.

use std::arch::x86_64::*;

use crate::bf16::Bf16;
use crate::simd::{FOURTH_ROOT, Vector};

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
    unsafe fn splat(word: f32) -> Self {
        // SAFETY: the trait's conditions.
        unsafe { _mm256_set1_ps(word) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: the trait's conditions.
        unsafe { _mm256_add_ps(self, other) }
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        // SAFETY: the trait's conditions.
        unsafe { _mm256_sub_ps(self, other) }
    }

    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        // SAFETY: the trait's conditions.
        unsafe { _mm256_mul_ps(self, other) }
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

    #[inline(always)]
    unsafe fn larger(self, places: Self, other: Self, other_places: Self) -> (Self, Self) {
        // SAFETY: the trait's conditions.
        unsafe {
            let larger = _mm256_or_ps(_mm256_cmp_ps::<_CMP_GT_OQ>(other, self), _mm256_cmp_ps::<_CMP_UNORD_Q>(other, other));
            (_mm256_blendv_ps(self, other, larger), _mm256_blendv_ps(places, other_places, larger))
        }
    }

    #[inline(always)]
    unsafe fn add_where(self, other: Self, bytes: *const u8, byte: u8) -> Self {
        // SAFETY: the trait's conditions.
        unsafe {
            let words = _mm256_cvtepu8_epi32(_mm_loadl_epi64(bytes.cast()));
            let equal = _mm256_cmpeq_epi32(words, _mm256_set1_epi32(i32::from(byte)));
            _mm256_blendv_ps(self, _mm256_add_ps(self, other), _mm256_castsi256_ps(equal))
        }
    }

    #[inline(always)]
    unsafe fn store_low_bytes(self, to: *mut u8) {
        // SAFETY: the trait's conditions. Of words without their upper bytes, none is too large for a byte.
        unsafe {
            let words = _mm256_and_si256(_mm256_castps_si256(self), _mm256_set1_epi32(0xFF));
            let halves = _mm_packus_epi32(_mm256_castsi256_si128(words), _mm256_extracti128_si256::<1>(words));
            _mm_storel_epi64(to.cast(), _mm_packus_epi16(halves, halves));
        }
    }

    #[inline(always)]
    unsafe fn low_halves(self) -> Self {
        // SAFETY: the trait's conditions.
        unsafe { _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_castps_si256(self))) }
    }

    #[inline(always)]
    unsafe fn high_halves(self) -> Self {
        // SAFETY: the trait's conditions.
        unsafe { _mm256_and_ps(self, _mm256_castsi256_ps(_mm256_set1_epi32(0xFFFF_0000_u32.cast_signed()))) }
    }

    #[inline(always)]
    unsafe fn fourth_root_guess(self) -> Self {
        // SAFETY: the trait's conditions.
        unsafe {
            let quarter = _mm256_srli_epi32::<2>(_mm256_castps_si256(self));
            _mm256_castsi256_ps(_mm256_sub_epi32(_mm256_set1_epi32(FOURTH_ROOT.cast_signed()), quarter))
        }
    }

    #[inline(always)]
    unsafe fn of_integers(self) -> Self {
        // SAFETY: the trait's conditions.
        unsafe { _mm256_cvtepi32_ps(_mm256_castps_si256(self)) }
    }

    #[inline(always)]
    unsafe fn store_bytes(self, to: *mut u8) {
        // SAFETY: the trait's conditions. Of a not-a-number and zero, the second operand is taken.
        unsafe {
            let inside = _mm256_min_ps(_mm256_max_ps(self, _mm256_setzero_ps()), _mm256_set1_ps(255.0));
            let words = _mm256_cvtps_epi32(inside);
            let halves = _mm_packus_epi32(_mm256_castsi256_si128(words), _mm256_extracti128_si256::<1>(words));
            _mm_storel_epi64(to.cast(), _mm_packus_epi16(halves, halves));
        }
    }

    #[inline(always)]
    unsafe fn store_bf16(self, to: *mut Bf16) {
        // SAFETY: the trait's conditions.
        unsafe {
            let halves = _mm256_srli_epi32::<16>(rounded(self));
            let packed = _mm_packus_epi32(_mm256_castsi256_si128(halves), _mm256_extracti128_si256::<1>(halves));
            _mm_storeu_si128(to.cast(), packed);
        }
    }

    #[inline(always)]
    unsafe fn bf16_pairs(low: Self, high: Self) -> Self {
        // SAFETY: the trait's conditions.
        unsafe { _mm256_castsi256_ps(_mm256_blend_epi16::<0xAA>(_mm256_srli_epi32::<16>(rounded(low)), rounded(high))) }
    }
}

/// Floats whose upper halves are the nearest bf16, see [`Bf16::new`].
#[inline(always)]
unsafe fn rounded(value: __m256) -> __m256i {
    // SAFETY: the trait's conditions.
    unsafe {
        let bits = _mm256_castps_si256(value);
        let odd = _mm256_and_si256(_mm256_srli_epi32::<16>(bits), _mm256_set1_epi32(1));
        let near = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7FFF)), odd);
        let quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x0040_0000));
        let nan = _mm256_castps_si256(_mm256_cmp_ps::<_CMP_UNORD_Q>(value, value));
        _mm256_blendv_epi8(near, quiet, nan)
    }
}

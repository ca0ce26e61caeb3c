//! AVX-512 registers: 16 floats.

use std::arch::x86_64::*;

use crate::bf16::Bf16;
use crate::simd::{FOURTH_ROOT, Vector};

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
    unsafe fn splat(word: f32) -> Self {
        // SAFETY: the trait's conditions.
        unsafe { _mm512_set1_ps(word) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: the trait's conditions.
        unsafe { _mm512_add_ps(self, other) }
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        // SAFETY: the trait's conditions.
        unsafe { _mm512_sub_ps(self, other) }
    }

    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        // SAFETY: the trait's conditions.
        unsafe { _mm512_mul_ps(self, other) }
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

    #[inline(always)]
    unsafe fn larger(self, places: Self, other: Self, other_places: Self) -> (Self, Self) {
        // SAFETY: the trait's conditions.
        unsafe {
            let larger = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(other, self) | _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(other, other);
            (_mm512_mask_mov_ps(self, larger, other), _mm512_mask_mov_ps(places, larger, other_places))
        }
    }

    #[inline(always)]
    unsafe fn add_where(self, other: Self, bytes: *const u8, byte: u8) -> Self {
        // SAFETY: the trait's conditions.
        unsafe {
            let equal = _mm_cmpeq_epi8_mask(_mm_loadu_si128(bytes.cast()), _mm_set1_epi8(byte.cast_signed()));
            _mm512_mask_add_ps(self, equal, self, other)
        }
    }

    #[inline(always)]
    unsafe fn store_low_bytes(self, to: *mut u8) {
        // SAFETY: the trait's conditions.
        unsafe { _mm_storeu_si128(to.cast(), _mm512_cvtepi32_epi8(_mm512_castps_si512(self))) }
    }

    #[inline(always)]
    unsafe fn low_halves(self) -> Self {
        // SAFETY: the trait's conditions.
        unsafe { _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_castps_si512(self))) }
    }

    #[inline(always)]
    unsafe fn high_halves(self) -> Self {
        // SAFETY: the trait's conditions.
        unsafe { _mm512_and_ps(self, _mm512_castsi512_ps(_mm512_set1_epi32(0xFFFF_0000_u32.cast_signed()))) }
    }

    #[inline(always)]
    unsafe fn fourth_root_guess(self) -> Self {
        // SAFETY: the trait's conditions.
        unsafe {
            let quarter = _mm512_srli_epi32::<2>(_mm512_castps_si512(self));
            _mm512_castsi512_ps(_mm512_sub_epi32(_mm512_set1_epi32(FOURTH_ROOT.cast_signed()), quarter))
        }
    }

    #[inline(always)]
    unsafe fn of_integers(self) -> Self {
        // SAFETY: the trait's conditions.
        unsafe { _mm512_cvtepi32_ps(_mm512_castps_si512(self)) }
    }

    #[inline(always)]
    unsafe fn store_bytes(self, to: *mut u8) {
        // SAFETY: the trait's conditions. Of a not-a-number and zero, the second operand is taken.
        unsafe {
            let inside = _mm512_min_ps(_mm512_max_ps(self, _mm512_setzero_ps()), _mm512_set1_ps(255.0));
            _mm_storeu_si128(to.cast(), _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(inside)));
        }
    }

    #[inline(always)]
    unsafe fn store_bf16(self, to: *mut Bf16) {
        // SAFETY: the trait's conditions.
        unsafe { _mm256_storeu_si256(to.cast(), _mm512_cvtepi32_epi16(_mm512_srli_epi32::<16>(rounded(self)))) }
    }

    #[inline(always)]
    unsafe fn bf16_pairs(low: Self, high: Self) -> Self {
        // SAFETY: the trait's conditions.
        unsafe { _mm512_castsi512_ps(_mm512_mask_blend_epi16(0xAAAA_AAAA, _mm512_srli_epi32::<16>(rounded(low)), rounded(high))) }
    }
}

/// Floats whose upper halves are the nearest bf16, see [`Bf16::new`].
#[inline(always)]
unsafe fn rounded(value: __m512) -> __m512i {
    // SAFETY: the trait's conditions.
    unsafe {
        let bits = _mm512_castps_si512(value);
        let odd = _mm512_and_si512(_mm512_srli_epi32::<16>(bits), _mm512_set1_epi32(1));
        let near = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7FFF)), odd);
        let nan = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(value, value);
        _mm512_mask_or_epi32(near, nan, bits, _mm512_set1_epi32(0x0040_0000))
    }
}

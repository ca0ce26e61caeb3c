//! Register operations on nibbles.

use crate::simd::{Four, Vector};
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

/// Extraction and multiplication of nibbles in a register.
///
/// # Safety
/// All functions need a CPU with the register's instruction set, and must be inlined into a function that has its features.
pub(super) trait Nibbles<V: Vector> {
    /// The low nibbles of all bytes.
    ///
    /// # Safety
    /// The trait's.
    unsafe fn low(v: V) -> V;
    /// The high nibbles of all bytes.
    ///
    /// # Safety
    /// The trait's.
    unsafe fn high(v: V) -> V;
    /// Integers `sum`, each with the products of four bytes of `x` and four nibbles of `q` added.
    ///
    /// # Safety
    /// The trait's.
    unsafe fn dot(x: V, q: V, sum: V) -> V;
}

/// AVX-512 with `vpdpbusd` where VNNI; else by pairs, of which none exceeds 2 x 255 x 15 = 7,650: `vpmaddubsw` does not saturate.
#[cfg(target_arch = "x86_64")]
pub(super) struct Sixteen<const VNNI: bool>;

#[cfg(target_arch = "x86_64")]
impl<const VNNI: bool> Nibbles<__m512> for Sixteen<VNNI> {
    #[inline(always)]
    unsafe fn low(v: __m512) -> __m512 {
        // SAFETY: the trait's conditions.
        unsafe { _mm512_castsi512_ps(_mm512_and_si512(_mm512_castps_si512(v), _mm512_set1_epi8(0x0F))) }
    }

    #[inline(always)]
    unsafe fn high(v: __m512) -> __m512 {
        // SAFETY: the trait's conditions.
        unsafe { Self::low(_mm512_castsi512_ps(_mm512_srli_epi32::<4>(_mm512_castps_si512(v)))) }
    }

    #[inline(always)]
    unsafe fn dot(x: __m512, q: __m512, sum: __m512) -> __m512 {
        // SAFETY: the trait's conditions.
        unsafe {
            let (x, q, sum) = (_mm512_castps_si512(x), _mm512_castps_si512(q), _mm512_castps_si512(sum));
            _mm512_castsi512_ps(if VNNI {
                _mm512_dpbusd_epi32(sum, x, q)
            } else {
                _mm512_add_epi32(sum, _mm512_madd_epi16(_mm512_maddubs_epi16(x, q), _mm512_set1_epi16(1)))
            })
        }
    }
}

/// AVX2, by pairs.
#[cfg(target_arch = "x86_64")]
pub(super) struct Eight;

#[cfg(target_arch = "x86_64")]
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

/// Plain Rust.
pub(super) struct Plain;

/// Applies `f` to the bits of each word.
#[inline(always)]
fn words(v: Four, f: impl Fn(u32) -> u32) -> Four {
    Four(v.0.map(|word| f32::from_bits(f(word.to_bits()))))
}

impl Nibbles<Four> for Plain {
    #[inline(always)]
    unsafe fn low(v: Four) -> Four {
        words(v, |word| word & 0x0F0F_0F0F)
    }

    #[inline(always)]
    unsafe fn high(v: Four) -> Four {
        words(v, |word| word >> 4 & 0x0F0F_0F0F)
    }

    #[inline(always)]
    unsafe fn dot(x: Four, q: Four, sum: Four) -> Four {
        Four(std::array::from_fn(|i| {
            let products = x.0[i].to_bits().to_le_bytes().into_iter().zip(q.0[i].to_bits().to_le_bytes());
            let products: u32 = products.map(|(x, q)| u32::from(x) * u32::from(q)).sum();
            f32::from_bits(sum.0[i].to_bits().wrapping_add(products))
        }))
    }
}

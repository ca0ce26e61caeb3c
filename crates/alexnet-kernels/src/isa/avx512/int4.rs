//! AVX-512 kernels of 4-bit layers, with `vpdpbusd` where the processor has it.

use std::arch::x86_64::*;

use crate::int4::kernels::{Inputs, Kernel, Nibbles, body};

/// AVX-512 with `vpdpbusd` where VNNI; else by pairs, of which none exceeds 2 x 255 x 15 = 7,650: `vpmaddubsw` does not saturate.
struct Sixteen<const VNNI: bool>;

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

/// By number of images - 1.
pub(crate) fn kernels() -> &'static [Kernel] {
    if is_x86_feature_detected!("avx512vnni") { &[vnni::<1>, vnni::<2>, vnni::<3>, vnni::<4>] } else { PLAIN }
}

/// Kernels for a CPU without `vpdpbusd`.
pub(crate) const PLAIN: &[Kernel] = &[plain::<1>, plain::<2>, plain::<3>, plain::<4>];

#[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
unsafe fn vnni<const N: usize>(x: Inputs<'_>, w: &[u32], totals: &mut [f32]) {
    // SAFETY: the caller keeps `Kernel`'s conditions, and this function has the features.
    unsafe { body::<__m512, Sixteen<true>, N, 2>(x, w, totals) }
}

#[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")]
unsafe fn plain<const N: usize>(x: Inputs<'_>, w: &[u32], totals: &mut [f32]) {
    // SAFETY: as above.
    unsafe { body::<__m512, Sixteen<false>, N, 2>(x, w, totals) }
}

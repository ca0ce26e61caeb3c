//! AVX-512 microkernels: 14 rows of 2 registers of 16 lanes, or of one register if a panel is half empty.

use std::arch::x86_64::*;

use crate::gemm::microkernel::{self, FLOAT_BLOCK, LONG_BLOCK, Terms};
use crate::gemm::{Family, Kernels, Raw, by_rows};
use crate::simd::Vector;

/// Products of floats.
struct Floats;

impl Terms<__m512> for Floats {
    const FLOATS: bool = true;
    const BLOCK: usize = FLOAT_BLOCK;

    #[inline(always)]
    unsafe fn dot(a: __m512, b: __m512, sum: __m512) -> __m512 {
        // SAFETY: the trait's conditions.
        unsafe { _mm512_fmadd_ps(a, b, sum) }
    }

    #[inline(always)]
    unsafe fn add(a: __m512, b: __m512) -> __m512 {
        // SAFETY: the trait's conditions.
        unsafe { _mm512_add_ps(a, b) }
    }
}

/// Pairs of bf16 by `vdpbf16ps`.
struct Bf16Pairs;

impl Terms<__m512> for Bf16Pairs {
    const FLOATS: bool = true;
    const BLOCK: usize = LONG_BLOCK;

    #[inline(always)]
    unsafe fn dot(a: __m512, b: __m512, sum: __m512) -> __m512 {
        // SAFETY: the trait's conditions; both types are 512 bits of any value.
        unsafe { _mm512_dpbf16_ps(sum, std::mem::transmute::<__m512, __m512bh>(a), std::mem::transmute::<__m512, __m512bh>(b)) }
    }

    #[inline(always)]
    unsafe fn add(a: __m512, b: __m512) -> __m512 {
        // SAFETY: the trait's conditions.
        unsafe { _mm512_add_ps(a, b) }
    }
}

/// Pairs of bf16 without `vdpbf16ps`: each is the upper half of a float.
struct Bf16Halves;

impl Terms<__m512> for Bf16Halves {
    const FLOATS: bool = true;
    const BLOCK: usize = LONG_BLOCK;

    #[inline(always)]
    unsafe fn dot(a: __m512, b: __m512, sum: __m512) -> __m512 {
        // SAFETY: the trait's conditions.
        unsafe {
            let low = _mm512_fmadd_ps(a.low_halves(), b.low_halves(), sum);
            _mm512_fmadd_ps(a.high_halves(), b.high_halves(), low)
        }
    }

    #[inline(always)]
    unsafe fn add(a: __m512, b: __m512) -> __m512 {
        // SAFETY: the trait's conditions.
        unsafe { _mm512_add_ps(a, b) }
    }
}

/// Four bytes by `vpdpbusd`.
struct BytesVnni;

impl Terms<__m512> for BytesVnni {
    const FLOATS: bool = false;
    const BLOCK: usize = LONG_BLOCK;

    #[inline(always)]
    unsafe fn dot(a: __m512, b: __m512, sum: __m512) -> __m512 {
        // SAFETY: the trait's conditions.
        unsafe {
            let integers = |v| _mm512_castps_si512(v);
            _mm512_castsi512_ps(_mm512_dpbusd_epi32(integers(sum), integers(a), integers(b)))
        }
    }

    #[inline(always)]
    unsafe fn add(a: __m512, b: __m512) -> __m512 {
        // SAFETY: the trait's conditions.
        unsafe { _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(a), _mm512_castps_si512(b))) }
    }
}

/// Four bytes without `vpdpbusd`, by 16-bit pair products. (`vpmaddubsw` would saturate.)
struct BytesPairs;

impl Terms<__m512> for BytesPairs {
    const FLOATS: bool = false;
    const BLOCK: usize = LONG_BLOCK;

    #[inline(always)]
    unsafe fn dot(a: __m512, b: __m512, sum: __m512) -> __m512 {
        // SAFETY: the trait's conditions.
        unsafe {
            let (a, b, sum) = (_mm512_castps_si512(a), _mm512_castps_si512(b), _mm512_castps_si512(sum));
            // Bytes 0 and 2 of each word, then bytes 1 and 3.
            let even_a = _mm512_and_si512(a, _mm512_set1_epi16(0xFF));
            let odd_a = _mm512_srli_epi16::<8>(a);
            let even_b = _mm512_srai_epi16::<8>(_mm512_slli_epi16::<8>(b));
            let odd_b = _mm512_srai_epi16::<8>(b);
            let both = _mm512_add_epi32(_mm512_madd_epi16(even_a, even_b), _mm512_madd_epi16(odd_a, odd_b));
            _mm512_castsi512_ps(_mm512_add_epi32(sum, both))
        }
    }

    #[inline(always)]
    unsafe fn add(a: __m512, b: __m512) -> __m512 {
        // SAFETY: the trait's conditions.
        unsafe { _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(a), _mm512_castps_si512(b))) }
    }
}

/// Kernels that need only AVX-512 F, BW, DQ and VL.
struct Plain<T, const VECTORS: usize, const NEXT: bool>(T);

impl<T: Terms<__m512>, const VECTORS: usize, const NEXT: bool> Family for Plain<T, VECTORS, NEXT> {
    #[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")]
    unsafe fn run<const ROWS: usize>(t: &Raw) {
        // SAFETY: the caller keeps `Kernel`'s conditions, and this function has the features.
        unsafe { microkernel::tile::<__m512, T, ROWS, VECTORS, NEXT>(t) }
    }
}

/// Kernels with `vdpbf16ps`.
struct WithBf16<const VECTORS: usize, const NEXT: bool>;

impl<const VECTORS: usize, const NEXT: bool> Family for WithBf16<VECTORS, NEXT> {
    #[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")]
    unsafe fn run<const ROWS: usize>(t: &Raw) {
        // SAFETY: as above.
        unsafe { microkernel::tile::<__m512, Bf16Pairs, ROWS, VECTORS, NEXT>(t) }
    }
}

/// Kernels with `vpdpbusd`.
struct WithVnni<const VECTORS: usize, const NEXT: bool>;

impl<const VECTORS: usize, const NEXT: bool> Family for WithVnni<VECTORS, NEXT> {
    #[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
    unsafe fn run<const ROWS: usize>(t: &Raw) {
        // SAFETY: as above.
        unsafe { microkernel::tile::<__m512, BytesVnni, ROWS, VECTORS, NEXT>(t) }
    }
}

fn table<HalfApart: Family, HalfNext: Family, FullApart: Family, FullNext: Family>(lanes: usize) -> Kernels {
    if lanes <= 16 {
        Kernels { apart: by_rows::<HalfApart>, next: by_rows::<HalfNext>, lanes: 16, rows: 14 }
    } else {
        Kernels { apart: by_rows::<FullApart>, next: by_rows::<FullNext>, lanes: 32, rows: 14 }
    }
}

fn plain<T: Terms<__m512>>(lanes: usize) -> Kernels {
    table::<Plain<T, 1, false>, Plain<T, 1, true>, Plain<T, 2, false>, Plain<T, 2, true>>(lanes)
}

pub(super) fn floats(lanes: usize) -> Kernels {
    plain::<Floats>(lanes)
}

pub(super) fn bf16(lanes: usize) -> Kernels {
    if is_x86_feature_detected!("avx512bf16") {
        table::<WithBf16<1, false>, WithBf16<1, true>, WithBf16<2, false>, WithBf16<2, true>>(lanes)
    } else {
        plain::<Bf16Halves>(lanes)
    }
}

pub(super) fn bytes(lanes: usize) -> Kernels {
    if is_x86_feature_detected!("avx512vnni") {
        table::<WithVnni<1, false>, WithVnni<1, true>, WithVnni<2, false>, WithVnni<2, true>>(lanes)
    } else {
        plain::<BytesPairs>(lanes)
    }
}

/// Kernels for a CPU without `vdpbf16ps` and `vpdpbusd`, for tests.
#[cfg(test)]
pub(crate) fn plain_bf16_and_bytes(lanes: usize) -> [Kernels; 2] {
    [plain::<Bf16Halves>(lanes), plain::<BytesPairs>(lanes)]
}

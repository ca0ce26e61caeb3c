//! Portable microkernels in plain Rust, 4 words at a time.
//!
//! 6 rows of 2 such registers are 12 sums, which fit the 16 registers of plain x86-64 (SSE2).

use super::registers::{Four, multiply_add};
use crate::gemm::microkernel::{self, FLOAT_BLOCK, LONG_BLOCK, Terms};
use crate::gemm::{Family, Kernels, Raw, by_few_rows};
use crate::simd::Vector;

/// Products of floats.
struct Floats;

impl Terms<Four> for Floats {
    const FLOATS: bool = true;
    const BLOCK: usize = FLOAT_BLOCK;

    #[inline(always)]
    unsafe fn dot(a: Four, b: Four, sum: Four) -> Four {
        multiply_add(a, b, sum)
    }

    #[inline(always)]
    unsafe fn add(a: Four, b: Four) -> Four {
        a.map(b, |a, b| a + b)
    }
}

/// Pairs of bf16, each the upper half of a float.
struct Bf16Halves;

impl Terms<Four> for Bf16Halves {
    const FLOATS: bool = true;
    const BLOCK: usize = LONG_BLOCK;

    #[inline(always)]
    unsafe fn dot(a: Four, b: Four, sum: Four) -> Four {
        // SAFETY: the trait's conditions.
        let (high, low) = unsafe { ((a.high_halves(), b.high_halves()), (a.low_halves(), b.low_halves())) };
        multiply_add(high.0, high.1, multiply_add(low.0, low.1, sum))
    }

    #[inline(always)]
    unsafe fn add(a: Four, b: Four) -> Four {
        a.map(b, |a, b| a + b)
    }
}

/// Four bytes.
struct Bytes;

impl Terms<Four> for Bytes {
    const FLOATS: bool = false;
    const BLOCK: usize = LONG_BLOCK;

    #[inline(always)]
    unsafe fn dot(a: Four, b: Four, sum: Four) -> Four {
        Four(std::array::from_fn(|i| {
            let (a, b) = (a.0[i].to_bits(), b.0[i].to_bits());
            let mut sum = sum.0[i].to_bits().cast_signed();
            for byte in 0..4 {
                sum += i32::from((a >> (8 * byte)) as u8) * i32::from((b >> (8 * byte)) as i8);
            }
            f32::from_bits(sum.cast_unsigned())
        }))
    }

    #[inline(always)]
    unsafe fn add(a: Four, b: Four) -> Four {
        a.map(b, |a, b| f32::from_bits(a.to_bits().wrapping_add(b.to_bits())))
    }
}

struct Plain<T, const NEXT: bool>(T);

impl<T: Terms<Four>, const NEXT: bool> Family for Plain<T, NEXT> {
    unsafe fn run<const ROWS: usize>(t: &Raw) {
        // SAFETY: the caller keeps `Kernel`'s conditions; no features are needed.
        unsafe { microkernel::tile::<Four, T, ROWS, 2, NEXT>(t) }
    }
}

fn plain<T: Terms<Four>>() -> Kernels {
    Kernels { apart: by_few_rows::<Plain<T, false>>, next: by_few_rows::<Plain<T, true>>, lanes: 8, rows: 6 }
}

pub(super) fn floats(_: usize) -> Kernels {
    plain::<Floats>()
}

pub(super) fn bf16(_: usize) -> Kernels {
    plain::<Bf16Halves>()
}

pub(super) fn bytes(_: usize) -> Kernels {
    plain::<Bytes>()
}

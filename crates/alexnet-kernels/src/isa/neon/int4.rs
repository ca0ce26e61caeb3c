//! NEON kernels of 4-bit layers, with `udot` where the processor has it.

use std::arch::aarch64::*;
use std::arch::asm;

use crate::int4::kernels::{Inputs, Kernel, Nibbles, body};

/// NEON with `udot` if DOTPROD; else by products of 16 bits, of which two are at most 2 x 255 x 15 = 7,650.
struct Four<const DOTPROD: bool>;

impl<const DOTPROD: bool> Nibbles<float32x4_t> for Four<DOTPROD> {
    #[inline(always)]
    unsafe fn low(v: float32x4_t) -> float32x4_t {
        // SAFETY: the trait's conditions.
        unsafe { vreinterpretq_f32_u8(vandq_u8(vreinterpretq_u8_f32(v), vdupq_n_u8(0x0F))) }
    }

    #[inline(always)]
    unsafe fn high(v: float32x4_t) -> float32x4_t {
        // SAFETY: the trait's conditions.
        unsafe { vreinterpretq_f32_u8(vshrq_n_u8::<4>(vreinterpretq_u8_f32(v))) }
    }

    #[inline(always)]
    unsafe fn dot(x: float32x4_t, q: float32x4_t, mut sum: float32x4_t) -> float32x4_t {
        // SAFETY: the trait's conditions; registers only. The intrinsic of `udot` is not stable.
        unsafe {
            if DOTPROD {
                asm!(
                    "udot {sum:v}.4s, {x:v}.16b, {q:v}.16b",
                    sum = inout(vreg) sum, x = in(vreg) x, q = in(vreg) q,
                    options(pure, nomem, nostack, preserves_flags),
                );
                return sum;
            }
            let (x, q) = (vreinterpretq_u8_f32(x), vreinterpretq_u8_f32(q));
            let pairs = vpaddq_u16(vmull_u8(vget_low_u8(x), vget_low_u8(q)), vmull_high_u8(x, q));
            vreinterpretq_f32_u32(vpadalq_u16(vreinterpretq_u32_f32(sum), pairs))
        }
    }
}

/// By number of images - 1, without `udot`.
pub(super) fn widened() -> &'static [Kernel] {
    &[kernel::<1>]
}

/// By number of images - 1, with `udot`.
pub(super) fn dotprod() -> &'static [Kernel] {
    &[kernel_dotprod::<1>]
}

#[target_feature(enable = "neon")]
unsafe fn kernel<const N: usize>(x: Inputs<'_>, w: &[u32], totals: &mut [f32]) {
    // SAFETY: the caller keeps `Kernel`'s conditions, and this function has the features.
    unsafe { body::<float32x4_t, Four<false>, N, 8>(x, w, totals) }
}

#[target_feature(enable = "neon,dotprod")]
unsafe fn kernel_dotprod<const N: usize>(x: Inputs<'_>, w: &[u32], totals: &mut [f32]) {
    // SAFETY: as above.
    unsafe { body::<float32x4_t, Four<true>, N, 8>(x, w, totals) }
}

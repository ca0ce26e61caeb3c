//! NEON registers: 4 floats.

use std::arch::aarch64::*;

use crate::bf16::Bf16;
use crate::simd::{FOURTH_ROOT, Vector};

/// The bits of four floats.
#[inline(always)]
unsafe fn bits(value: float32x4_t) -> uint32x4_t {
    // SAFETY: the trait's conditions.
    unsafe { vreinterpretq_u32_f32(value) }
}

/// Four floats of these bits.
#[inline(always)]
unsafe fn of_bits(bits: uint32x4_t) -> float32x4_t {
    // SAFETY: the trait's conditions.
    unsafe { vreinterpretq_f32_u32(bits) }
}

impl Vector for float32x4_t {
    const WIDTH: usize = 4;

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the trait's conditions.
        unsafe { vld1q_f32(from) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the trait's conditions.
        unsafe { vst1q_f32(to, self) }
    }

    #[inline(always)]
    unsafe fn splat(word: f32) -> Self {
        // SAFETY: the trait's conditions.
        unsafe { vdupq_n_f32(word) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: the trait's conditions.
        unsafe { vaddq_f32(self, other) }
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        // SAFETY: the trait's conditions.
        unsafe { vsubq_f32(self, other) }
    }

    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        // SAFETY: the trait's conditions.
        unsafe { vmulq_f32(self, other) }
    }

    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, sum: Self) -> Self {
        // SAFETY: the trait's conditions.
        unsafe { vfmaq_f32(sum, self, factor) }
    }

    #[inline(always)]
    unsafe fn at_least(self, floor: Self) -> Self {
        // SAFETY: the trait's conditions. `fmax` would turn -0.0 into 0.0, unlike the other sets.
        unsafe { vbslq_f32(vcltq_f32(self, floor), floor, self) }
    }

    #[inline(always)]
    unsafe fn where_positive(self, mask: Self) -> Self {
        // SAFETY: the trait's conditions.
        unsafe { of_bits(vandq_u32(bits(self), vcgtzq_f32(mask))) }
    }

    #[inline(always)]
    unsafe fn larger(self, places: Self, other: Self, other_places: Self) -> (Self, Self) {
        // SAFETY: the trait's conditions.
        unsafe {
            let larger = vornq_u32(vcgtq_f32(other, self), vceqq_f32(other, other));
            (vbslq_f32(larger, other, self), vbslq_f32(larger, other_places, places))
        }
    }

    #[inline(always)]
    unsafe fn add_where(self, other: Self, bytes: *const u8, byte: u8) -> Self {
        // SAFETY: the trait's conditions.
        unsafe {
            let bytes = vcreate_u8(bytes.cast::<u32>().read_unaligned().into());
            let words = vmovl_u16(vget_low_u16(vmovl_u8(bytes)));
            let equal = vceqq_u32(words, vdupq_n_u32(byte.into()));
            vbslq_f32(equal, vaddq_f32(self, other), self)
        }
    }

    #[inline(always)]
    unsafe fn store_low_bytes(self, to: *mut u8) {
        // SAFETY: the trait's conditions.
        unsafe {
            let halves = vmovn_u32(bits(self));
            let bytes = vmovn_u16(vcombine_u16(halves, halves));
            to.cast::<u32>().write_unaligned(vget_lane_u32::<0>(vreinterpret_u32_u8(bytes)));
        }
    }

    #[inline(always)]
    unsafe fn low_halves(self) -> Self {
        // SAFETY: the trait's conditions.
        unsafe { of_bits(vshlq_n_u32::<16>(bits(self))) }
    }

    #[inline(always)]
    unsafe fn high_halves(self) -> Self {
        // SAFETY: the trait's conditions.
        unsafe { of_bits(vandq_u32(bits(self), vdupq_n_u32(0xFFFF_0000))) }
    }

    #[inline(always)]
    unsafe fn fourth_root_guess(self) -> Self {
        // SAFETY: the trait's conditions.
        unsafe { of_bits(vsubq_u32(vdupq_n_u32(FOURTH_ROOT), vshrq_n_u32::<2>(bits(self)))) }
    }

    #[inline(always)]
    unsafe fn of_integers(self) -> Self {
        // SAFETY: the trait's conditions.
        unsafe { vcvtq_f32_s32(vreinterpretq_s32_f32(self)) }
    }

    #[inline(always)]
    unsafe fn store_bytes(self, to: *mut u8) {
        // SAFETY: the trait's conditions. The conversion rounds ties to even, turns NaN and negative values into 0, and each step
        // gives the largest value for those above.
        unsafe {
            let halves = vqmovn_u32(vcvtnq_u32_f32(self));
            let bytes = vqmovn_u16(vcombine_u16(halves, halves));
            to.cast::<u32>().write_unaligned(vget_lane_u32::<0>(vreinterpret_u32_u8(bytes)));
        }
    }

    #[inline(always)]
    unsafe fn store_bf16(self, to: *mut Bf16) {
        // SAFETY: the trait's conditions.
        unsafe { vst1_u16(to.cast(), vshrn_n_u32::<16>(rounded(self))) }
    }

    #[inline(always)]
    unsafe fn bf16_pairs(low: Self, high: Self) -> Self {
        // SAFETY: the trait's conditions. The upper half of `low` replaces the lower half of `high`.
        unsafe { of_bits(vsriq_n_u32::<16>(rounded(high), rounded(low))) }
    }
}

/// Floats whose upper halves are the nearest bf16, see [`Bf16::new`].
#[inline(always)]
unsafe fn rounded(value: float32x4_t) -> uint32x4_t {
    // SAFETY: the trait's conditions.
    unsafe {
        let bits = bits(value);
        let odd = vandq_u32(vshrq_n_u32::<16>(bits), vdupq_n_u32(1));
        let near = vaddq_u32(vaddq_u32(bits, vdupq_n_u32(0x7FFF)), odd);
        let quiet = vorrq_u32(bits, vdupq_n_u32(0x0040_0000));
        vbslq_u32(vceqq_f32(value, value), near, quiet)
    }
}

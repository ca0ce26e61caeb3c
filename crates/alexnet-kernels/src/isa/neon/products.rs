//! Products of registers, most of them by one word of another register.

use std::arch::aarch64::*;
use std::arch::asm;

use crate::gemm::microkernel::{FLOAT_BLOCK, LONG_BLOCK, Terms};
use crate::simd::Vector;

/// Multiplication by a word, and accumulation.
///
/// # Safety
/// All functions need a CPU with the instructions, and must be inlined into a function that has their features.
pub(super) trait Product {
    /// Whether sums are floats.
    const FLOATS: bool;
    /// Terms accumulated in registers.
    const BLOCK: usize;
    /// Whether [`words`](Self::words) subtracts 128 from each byte, so that 128 times the sum of `b` is missing.
    const IS_SHIFTED: bool = false;
    /// Four words, ready for multiplication.
    type Words: Copy;
    /// Four lanes, ready for multiplication.
    type Lanes: Copy;
    /// Prepares words.
    ///
    /// # Safety
    /// The trait's.
    unsafe fn words(words: float32x4_t) -> Self::Words;
    /// Prepares lanes.
    ///
    /// # Safety
    /// The trait's.
    unsafe fn lanes(lanes: float32x4_t) -> Self::Lanes;
    /// `sum` plus the products of the lanes' values and those of word I.
    ///
    /// # Safety
    /// The trait's.
    unsafe fn dot<const I: i32>(words: Self::Words, lanes: Self::Lanes, sum: float32x4_t) -> float32x4_t;
    /// Adds sums.
    ///
    /// # Safety
    /// The trait's.
    #[inline(always)]
    unsafe fn add(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: the trait's conditions.
        unsafe { if Self::FLOATS { vaddq_f32(a, b) } else { add_integers(a, b) } }
    }
}

/// Adds integers.
#[inline(always)]
unsafe fn add_integers(a: float32x4_t, b: float32x4_t) -> float32x4_t {
    // SAFETY: the trait's conditions.
    unsafe { vreinterpretq_f32_s32(vaddq_s32(vreinterpretq_s32_f32(a), vreinterpretq_s32_f32(b))) }
}

/// Floats by `fmla`.
pub(super) struct Floats;

impl Product for Floats {
    const FLOATS: bool = true;
    const BLOCK: usize = FLOAT_BLOCK;
    type Words = float32x4_t;
    type Lanes = float32x4_t;

    #[inline(always)]
    unsafe fn words(words: float32x4_t) -> float32x4_t {
        words
    }

    #[inline(always)]
    unsafe fn lanes(lanes: float32x4_t) -> float32x4_t {
        lanes
    }

    #[inline(always)]
    unsafe fn dot<const I: i32>(words: float32x4_t, lanes: float32x4_t, sum: float32x4_t) -> float32x4_t {
        // SAFETY: the trait's conditions.
        unsafe { vfmaq_laneq_f32::<I>(sum, lanes, words) }
    }
}

/// Pairs of bf16 by `bfdot`, whose intrinsic is not stable.
pub(super) struct Bf16Pairs;

impl Product for Bf16Pairs {
    const FLOATS: bool = true;
    const BLOCK: usize = LONG_BLOCK;
    type Words = float32x4_t;
    type Lanes = float32x4_t;

    #[inline(always)]
    unsafe fn words(words: float32x4_t) -> float32x4_t {
        words
    }

    #[inline(always)]
    unsafe fn lanes(lanes: float32x4_t) -> float32x4_t {
        lanes
    }

    #[inline(always)]
    unsafe fn dot<const I: i32>(words: float32x4_t, lanes: float32x4_t, mut sum: float32x4_t) -> float32x4_t {
        // SAFETY: the trait's conditions; registers only.
        unsafe {
            asm!(
                "bfdot {sum:v}.4s, {lanes:v}.8h, {words:v}.2h[{i}]",
                sum = inout(vreg) sum, lanes = in(vreg) lanes, words = in(vreg) words, i = const I,
                options(pure, nomem, nostack, preserves_flags),
            );
        }
        sum
    }
}

/// Pairs of bf16, each the upper half of a float.
pub(super) struct Bf16Halves;

impl Product for Bf16Halves {
    const FLOATS: bool = true;
    const BLOCK: usize = LONG_BLOCK;
    type Words = [float32x4_t; 2];
    type Lanes = [float32x4_t; 2];

    #[inline(always)]
    unsafe fn words(words: float32x4_t) -> [float32x4_t; 2] {
        // SAFETY: the trait's conditions.
        unsafe { [words.low_halves(), words.high_halves()] }
    }

    #[inline(always)]
    unsafe fn lanes(lanes: float32x4_t) -> [float32x4_t; 2] {
        // SAFETY: the trait's conditions.
        unsafe { [lanes.low_halves(), lanes.high_halves()] }
    }

    #[inline(always)]
    unsafe fn dot<const I: i32>(words: [float32x4_t; 2], lanes: [float32x4_t; 2], sum: float32x4_t) -> float32x4_t {
        // SAFETY: the trait's conditions.
        unsafe { vfmaq_laneq_f32::<I>(vfmaq_laneq_f32::<I>(sum, lanes[0], words[0]), lanes[1], words[1]) }
    }
}

/// Four bytes by `sudot`, the form of `usdot` that multiplies by a word; its intrinsic is not stable.
pub(super) struct BytesMixed;

impl Product for BytesMixed {
    const FLOATS: bool = false;
    const BLOCK: usize = LONG_BLOCK;
    type Words = float32x4_t;
    type Lanes = float32x4_t;

    #[inline(always)]
    unsafe fn words(words: float32x4_t) -> float32x4_t {
        words
    }

    #[inline(always)]
    unsafe fn lanes(lanes: float32x4_t) -> float32x4_t {
        lanes
    }

    #[inline(always)]
    unsafe fn dot<const I: i32>(words: float32x4_t, lanes: float32x4_t, mut sum: float32x4_t) -> float32x4_t {
        // SAFETY: the trait's conditions; registers only.
        unsafe {
            asm!(
                "sudot {sum:v}.4s, {lanes:v}.16b, {words:v}.4b[{i}]",
                sum = inout(vreg) sum, lanes = in(vreg) lanes, words = in(vreg) words, i = const I,
                options(pure, nomem, nostack, preserves_flags),
            );
        }
        sum
    }
}

/// Four bytes by `sdot`, which multiplies signed bytes only: `a b = (a - 128) b + 128 b`. Its intrinsic is not stable.
pub(super) struct BytesSigned;

impl Product for BytesSigned {
    const FLOATS: bool = false;
    const BLOCK: usize = LONG_BLOCK;
    const IS_SHIFTED: bool = true;
    type Words = float32x4_t;
    type Lanes = float32x4_t;

    #[inline(always)]
    unsafe fn words(words: float32x4_t) -> float32x4_t {
        // SAFETY: the trait's conditions.
        unsafe { vreinterpretq_f32_u8(veorq_u8(vreinterpretq_u8_f32(words), vdupq_n_u8(128))) }
    }

    #[inline(always)]
    unsafe fn lanes(lanes: float32x4_t) -> float32x4_t {
        lanes
    }

    #[inline(always)]
    unsafe fn dot<const I: i32>(words: float32x4_t, lanes: float32x4_t, mut sum: float32x4_t) -> float32x4_t {
        // SAFETY: the trait's conditions; registers only.
        unsafe {
            asm!(
                "sdot {sum:v}.4s, {lanes:v}.16b, {words:v}.4b[{i}]",
                sum = inout(vreg) sum, lanes = in(vreg) lanes, words = in(vreg) words, i = const I,
                options(pure, nomem, nostack, preserves_flags),
            );
        }
        sum
    }
}

/// Four bytes by products of 16 bits, of which none is too large: 255 x -128 is -32,640. Words are broadcast, since a pair of
/// 16-bit values is not one word of a multiplication.
pub(super) struct BytesWidened;

impl Terms<float32x4_t> for BytesWidened {
    const FLOATS: bool = false;
    const BLOCK: usize = LONG_BLOCK;

    #[inline(always)]
    unsafe fn dot(a: float32x4_t, b: float32x4_t, sum: float32x4_t) -> float32x4_t {
        // SAFETY: the trait's conditions.
        unsafe {
            let (a, b) = (vreinterpretq_u16_f32(a), vreinterpretq_s16_f32(b));
            // Bytes 0 and 2 of each word, then bytes 1 and 3.
            let even_a = vreinterpretq_s16_u16(vandq_u16(a, vdupq_n_u16(0xFF)));
            let odd_a = vreinterpretq_s16_u16(vshrq_n_u16::<8>(a));
            let even_b = vshrq_n_s16::<8>(vshlq_n_s16::<8>(b));
            let odd_b = vshrq_n_s16::<8>(b);
            let sum = vpadalq_s16(vreinterpretq_s32_f32(sum), vmulq_s16(even_a, even_b));
            vreinterpretq_f32_s32(vpadalq_s16(sum, vmulq_s16(odd_a, odd_b)))
        }
    }

    #[inline(always)]
    unsafe fn add(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: the trait's conditions.
        unsafe { add_integers(a, b) }
    }
}

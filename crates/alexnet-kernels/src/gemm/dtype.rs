//! Data types of matrix products.

use super::Kernels;
use crate::bf16::Bf16;
use crate::buffer::Plain;
use crate::isa::Isa;
use crate::simd::Vector;

/// Data type of a product's operands; one or more values fill a 32-bit word.
pub(crate) trait DType: Plain + Default + Send + Sync + 'static {
    /// Accumulator type; 32 bits.
    type Sum: Copy;
    /// Values per word.
    const WORD: usize;
    /// Kernels of an instruction set for up to this many lanes.
    fn kernels(isa: Isa, lanes: usize) -> Kernels;
}

/// Single precision.
impl DType for f32 {
    type Sum = f32;
    const WORD: usize = 1;

    fn kernels(isa: Isa, lanes: usize) -> Kernels {
        (isa.kernels().gemm_floats)(lanes)
    }
}

/// bfloat16, accumulated in single precision.
impl DType for Bf16 {
    type Sum = f32;
    const WORD: usize = 2;

    fn kernels(isa: Isa, lanes: usize) -> Kernels {
        (isa.kernels().gemm_bf16)(lanes)
    }
}

/// Unsigned bytes in `a`, signed bytes in `b`, accumulated in integers: identical on every instruction set.
impl DType for u8 {
    type Sum = i32;
    const WORD: usize = 4;

    fn kernels(isa: Isa, lanes: usize) -> Kernels {
        (isa.kernels().gemm_bytes)(lanes)
    }
}

/// Data type that represents floats.
pub(crate) trait Float: DType<Sum = f32> {
    /// Rounds to the nearest value.
    fn new(value: f32) -> Self;

    /// Packs values into a word, the first in its lowest bits.
    fn word(value: impl Fn(usize) -> f32) -> u32;

    /// Writes a register of floats, rounded to this type.
    ///
    /// # Safety
    /// Those of [`Vector`].
    unsafe fn store<V: Vector>(values: V, to: *mut Self);

    /// Packs the last value, and the one before it if a word holds two.
    ///
    /// # Safety
    /// Those of [`Vector`].
    unsafe fn words<V: Vector>(first: V, last: V) -> V;

    /// Borrows floats unchanged, if no conversion is needed.
    fn borrow(values: &[f32]) -> Option<&[Self]>;
}

impl Float for f32 {
    #[inline(always)]
    fn new(value: f32) -> Self {
        value
    }

    #[inline(always)]
    fn word(value: impl Fn(usize) -> f32) -> u32 {
        value(0).to_bits()
    }

    #[inline(always)]
    unsafe fn store<V: Vector>(values: V, to: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { values.store(to) }
    }

    #[inline(always)]
    unsafe fn words<V: Vector>(_: V, last: V) -> V {
        last
    }

    fn borrow(values: &[f32]) -> Option<&[Self]> {
        Some(values)
    }
}

impl Float for Bf16 {
    #[inline(always)]
    fn new(value: f32) -> Self {
        Bf16::new(value)
    }

    #[inline(always)]
    fn word(value: impl Fn(usize) -> f32) -> u32 {
        u32::from(Bf16::new(value(0)).to_bits()) | u32::from(Bf16::new(value(1)).to_bits()) << 16
    }

    #[inline(always)]
    unsafe fn store<V: Vector>(values: V, to: *mut Bf16) {
        // SAFETY: the caller's promise.
        unsafe { values.store_bf16(to) }
    }

    #[inline(always)]
    unsafe fn words<V: Vector>(first: V, last: V) -> V {
        // SAFETY: the caller's promise.
        unsafe { V::bf16_pairs(first, last) }
    }

    fn borrow(_: &[f32]) -> Option<&[Self]> {
        None
    }
}

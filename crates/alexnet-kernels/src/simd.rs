//! Vector registers, abstracted so that code is written once for every instruction set.
//!
//! [`Isa::vectorize`](crate::isa::Isa::vectorize) leaves plain loops to the compiler, which suffices for most operators. Where it
//! does not (Winograd's transforms use 36 registers, and ran at a third of the speed as loops over arrays), an operator is a
//! [`Vectorized`] struct, and [`dispatch`](crate::isa::dispatch) runs it with the registers of the instruction set.

use crate::bf16::Bf16;
#[cfg(target_arch = "x86_64")]
use crate::buffer::LINE;

/// Constant of the bit trick in [`Vector::fourth_root_guess`].
pub(crate) const FOURTH_ROOT: u32 = 0x4F58_6000;

/// A vector register of floats, or of other 32-bit words.
///
/// # Safety
/// All functions need a CPU with the register's instruction set, and must be inlined into a function that has its features;
/// pointers must be valid for `WIDTH` values.
pub(crate) trait Vector: Copy {
    /// Number of words.
    const WIDTH: usize;
    /// # Safety
    /// The trait's.
    unsafe fn load(from: *const f32) -> Self;
    /// # Safety
    /// The trait's.
    unsafe fn store(self, to: *mut f32);
    /// # Safety
    /// The trait's.
    unsafe fn splat(word: f32) -> Self;
    /// # Safety
    /// The trait's.
    unsafe fn add(self, other: Self) -> Self;
    /// # Safety
    /// The trait's.
    unsafe fn sub(self, other: Self) -> Self;
    /// # Safety
    /// The trait's.
    unsafe fn mul(self, other: Self) -> Self;
    /// self * factor + sum, fused if the instruction set has FMA.
    ///
    /// # Safety
    /// The trait's.
    unsafe fn mul_add(self, factor: Self, sum: Self) -> Self;
    /// `self`, or `floor` if that is larger; NaN if `self` is NaN.
    ///
    /// # Safety
    /// The trait's.
    unsafe fn at_least(self, floor: Self) -> Self;
    /// `self` where the mask is positive, else zero.
    ///
    /// # Safety
    /// The trait's.
    unsafe fn where_positive(self, mask: Self) -> Self;
    /// The larger floats of `self` and `other`, and their `places`: those of `self` if both are equal. NaN counts as larger, the
    /// last of two.
    ///
    /// # Safety
    /// The trait's.
    unsafe fn larger(self, places: Self, other: Self, other_places: Self) -> (Self, Self);
    /// `self + other` where a byte is the given one, else `self`.
    ///
    /// # Safety
    /// The trait's; `bytes` is valid for `WIDTH` of them.
    unsafe fn add_where(self, other: Self, bytes: *const u8, byte: u8) -> Self;
    /// Writes the lowest byte of each word.
    ///
    /// # Safety
    /// The trait's.
    unsafe fn store_low_bytes(self, to: *mut u8);
    /// d^-0.25 of each positive float d with an error of 3 %: halving its bits twice, as an integer, quarters its exponent. The
    /// constant is the best of those tried, 4096 apart.
    ///
    /// # Safety
    /// The trait's.
    unsafe fn fourth_root_guess(self) -> Self;
    /// Integers of 32 bits as floats.
    ///
    /// # Safety
    /// The trait's.
    unsafe fn of_integers(self) -> Self;
    /// Writes each float rounded to the nearest byte, ties to even; 0 for negative values and NaN, 255 above.
    ///
    /// # Safety
    /// The trait's.
    unsafe fn store_bytes(self, to: *mut u8);
    /// Writes the nearest bf16 of each float.
    ///
    /// # Safety
    /// The trait's.
    unsafe fn store_bf16(self, to: *mut Bf16);
    /// Words of two bf16 each: the nearest of `low` in the lower half, of `high` in the upper.
    ///
    /// # Safety
    /// The trait's.
    unsafe fn bf16_pairs(low: Self, high: Self) -> Self;
    /// The floats whose bf16 are the low halves of words.
    ///
    /// # Safety
    /// The trait's.
    unsafe fn low_halves(self) -> Self;
    /// The floats whose bf16 are the high halves of words.
    ///
    /// # Safety
    /// The trait's.
    unsafe fn high_halves(self) -> Self;
}

/// Lanes of the widest register.
pub(crate) const LANES: usize = 16;

/// Loads values starting at `at`; positions beyond the end are filled with ones.
///
/// # Safety
/// That of [`Vector`].
#[inline(always)]
pub(crate) unsafe fn load_some<V: Vector>(values: &[f32], at: usize) -> V {
    let values = &values[at..];
    // SAFETY: the caller's promise; a register's values are there, or in the array.
    unsafe {
        if values.len() >= V::WIDTH {
            return V::load(values.as_ptr());
        }
        let mut some = [1.0; LANES];
        some[..values.len()].copy_from_slice(values);
        V::load(some.as_ptr())
    }
}

/// Stores values starting at `at`; positions beyond the end are dropped.
///
/// # Safety
/// That of [`Vector`].
#[inline(always)]
pub(crate) unsafe fn store_some<V: Vector>(register: V, values: &mut [f32], at: usize) {
    let values = &mut values[at..];
    // SAFETY: the caller's promise; there is room for a register's values, or in the array.
    unsafe {
        if values.len() >= V::WIDTH {
            return register.store(values.as_mut_ptr());
        }
        let mut some = [0.0; LANES];
        register.store(some.as_mut_ptr());
        values.copy_from_slice(&some[..values.len()]);
    }
}

/// [`Vector::add_where`] with the values and bytes starting at `at`, up to the end.
///
/// # Safety
/// That of [`Vector`].
#[inline(always)]
pub(crate) unsafe fn add_some_where<V: Vector>(sum: V, values: &[f32], bytes: &[u8], at: usize, byte: u8) -> V {
    let bytes = &bytes[at..];
    // SAFETY: the caller's promise; a register's bytes are there, or in the array.
    unsafe {
        let values = load_some(values, at);
        if bytes.len() >= V::WIDTH {
            return sum.add_where(values, bytes.as_ptr(), byte);
        }
        let mut some = [0; LANES];
        some[..bytes.len()].copy_from_slice(bytes);
        sum.add_where(values, some.as_ptr(), byte)
    }
}

/// Stores the lowest bytes of words starting at `at`; positions beyond the end are dropped.
///
/// # Safety
/// That of [`Vector`].
#[inline(always)]
pub(crate) unsafe fn store_some_low_bytes<V: Vector>(register: V, bytes: &mut [u8], at: usize) {
    let bytes = &mut bytes[at..];
    // SAFETY: the caller's promise; there is room for a register's bytes, or in the array.
    unsafe {
        if bytes.len() >= V::WIDTH {
            return register.store_low_bytes(bytes.as_mut_ptr());
        }
        let mut some = [0; LANES];
        register.store_low_bytes(some.as_mut_ptr());
        bytes.copy_from_slice(&some[..bytes.len()]);
    }
}

/// The nearest integer from 0 to 255, ties to even; 0 for NaN. Adding 2^23 leaves it in the lowest bits, which the compiler
/// vectorises, unlike a cast.
#[inline(always)]
pub(crate) fn nearest_byte(value: f32) -> u8 {
    let inside = if value > 0.0 { if value < 255.0 { value } else { 255.0 } } else { 0.0 };
    (inside + 8_388_608.0).to_bits() as u8
}

/// Prefetches the cache lines of some floats at an address, which need not be valid; does nothing without such an instruction.
#[inline(always)]
pub(crate) fn prefetch(at: *const f32, floats: usize) {
    #[cfg(target_arch = "x86_64")]
    for line in (0..floats).step_by(LINE) {
        // SAFETY: the instruction is part of every x86-64 CPU, and has no visible effect.
        unsafe {
            std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(at.wrapping_add(line).cast());
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (at, floats);
}

/// A computation on vector registers.
pub(crate) trait Vectorized {
    /// Computes it. Implementations must be `#[inline(always)]`, and so must all functions with registers that they call.
    ///
    /// # Safety
    /// The CPU supports the instruction set of `V`, and the struct's own requirements hold.
    unsafe fn run<V: Vector>(self);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::{Isa, dispatch};

    struct Round<'a> {
        values: &'a [f32],
        stored: &'a mut [Bf16],
        pairs: &'a mut [f32],
        bytes: &'a mut [u8],
    }

    impl Vectorized for Round<'_> {
        #[inline(always)]
        unsafe fn run<V: Vector>(self) {
            for at in (0..self.values.len()).step_by(V::WIDTH) {
                // SAFETY: 16 values, a multiple of any width.
                unsafe {
                    let value = V::load(self.values.as_ptr().add(at));
                    value.store_bf16(self.stored.as_mut_ptr().add(at));
                    V::bf16_pairs(value, V::splat(-1.0)).store(self.pairs.as_mut_ptr().add(at));
                    value.store_bytes(self.bytes.as_mut_ptr().add(at));
                }
            }
        }
    }

    #[test]
    fn registers_round_to_bf16_and_bytes() {
        let values = [
            1.0,
            -1.0 - 1.0 / 256.0,
            1.0 + 1.1 / 256.0,
            1.0 + 3.0 / 256.0,
            f32::MAX,
            f32::MIN_POSITIVE / 3.0,
            f32::NAN,
            f32::from_bits(0x7FFF_FFFF),
            f32::from_bits(0xFF80_0001),
            f32::INFINITY,
            -0.0,
            2.7,
            1e-30,
            -7e20,
            0.1,
            254.5,
        ];
        for isa in Isa::all_supported() {
            let (mut stored, mut pairs, mut bytes) = ([Bf16::default(); 16], [0.0; 16], [7; 16]);
            let work = Round { values: &values, stored: &mut stored, pairs: &mut pairs, bytes: &mut bytes };
            // SAFETY: 16 values each.
            unsafe { dispatch(isa, work) };
            for (i, &value) in values.iter().enumerate() {
                assert_eq!(stored[i], Bf16::new(value), "{value} by {isa}");
                let word = u32::from(Bf16::new(-1.0).to_bits()) << 16 | u32::from(Bf16::new(value).to_bits());
                assert_eq!(pairs[i].to_bits(), word, "{value} by {isa}");
                let byte = if value > 255.0 { 255 } else { value.max(0.0).round_ties_even() as u8 };
                assert_eq!(bytes[i], byte, "{value} by {isa}");
            }
        }
    }
}

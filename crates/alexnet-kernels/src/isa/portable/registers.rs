//! Portable registers in plain Rust: 4 floats, which the compiler keeps in a vector register of the target CPU.

use crate::bf16::Bf16;
use crate::simd::{FOURTH_ROOT, Vector, nearest_byte};

/// Four floats.
#[derive(Clone, Copy)]
#[repr(C, align(16))]
pub(crate) struct Four(pub(crate) [f32; 4]);

impl Four {
    #[inline(always)]
    pub(crate) fn map(self, other: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        Four(std::array::from_fn(|i| f(self.0[i], other.0[i])))
    }
}

/// a * b + sum.
#[inline(always)]
pub(crate) fn multiply_add(a: Four, b: Four, sum: Four) -> Four {
    // Without such an instruction, `f32::mul_add` is a call into the C library.
    if cfg!(any(target_arch = "aarch64", target_feature = "fma")) {
        Four(std::array::from_fn(|i| a.0[i].mul_add(b.0[i], sum.0[i])))
    } else {
        Four(std::array::from_fn(|i| a.0[i] * b.0[i] + sum.0[i]))
    }
}

impl Vector for Four {
    const WIDTH: usize = 4;

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the trait's conditions; an array has its element's alignment.
        Four(unsafe { from.cast::<[f32; 4]>().read() })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the trait's conditions; an array has its element's alignment.
        unsafe { to.cast::<[f32; 4]>().write(self.0) }
    }

    #[inline(always)]
    unsafe fn splat(word: f32) -> Self {
        Four([word; 4])
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        self.map(other, |a, b| a + b)
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        self.map(other, |a, b| a - b)
    }

    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        self.map(other, |a, b| a * b)
    }

    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, sum: Self) -> Self {
        multiply_add(self, factor, sum)
    }

    #[inline(always)]
    unsafe fn at_least(self, floor: Self) -> Self {
        self.map(floor, |a, floor| if a < floor { floor } else { a })
    }

    #[inline(always)]
    unsafe fn where_positive(self, mask: Self) -> Self {
        self.map(mask, |a, mask| if mask > 0.0 { a } else { 0.0 })
    }

    #[inline(always)]
    #[allow(clippy::eq_op)] // NaN differs from itself.
    unsafe fn larger(self, places: Self, other: Self, other_places: Self) -> (Self, Self) {
        let wins: [bool; 4] = std::array::from_fn(|i| (other.0[i] > self.0[i]) | (other.0[i] != other.0[i]));
        let choose = |a: Self, b: Self| Four(std::array::from_fn(|i| if wins[i] { b.0[i] } else { a.0[i] }));
        (choose(self, other), choose(places, other_places))
    }

    #[inline(always)]
    unsafe fn add_where(self, other: Self, bytes: *const u8, byte: u8) -> Self {
        // SAFETY: the trait's conditions.
        let bytes = unsafe { bytes.cast::<[u8; 4]>().read() };
        Four(std::array::from_fn(|i| if bytes[i] == byte { self.0[i] + other.0[i] } else { self.0[i] }))
    }

    #[inline(always)]
    unsafe fn store_low_bytes(self, to: *mut u8) {
        // SAFETY: the trait's conditions; an array has its element's alignment.
        unsafe { to.cast::<[u8; 4]>().write(self.0.map(|word| word.to_bits() as u8)) }
    }

    #[inline(always)]
    unsafe fn low_halves(self) -> Self {
        Four(self.0.map(|word| f32::from_bits(word.to_bits() << 16)))
    }

    #[inline(always)]
    unsafe fn high_halves(self) -> Self {
        Four(self.0.map(|word| f32::from_bits(word.to_bits() & 0xFFFF_0000)))
    }

    #[inline(always)]
    unsafe fn fourth_root_guess(self) -> Self {
        Four(self.0.map(|word| f32::from_bits(FOURTH_ROOT.wrapping_sub(word.to_bits() >> 2))))
    }

    #[inline(always)]
    unsafe fn of_integers(self) -> Self {
        Four(self.0.map(|word| word.to_bits().cast_signed() as f32))
    }

    #[inline(always)]
    unsafe fn store_bytes(self, to: *mut u8) {
        // SAFETY: the trait's conditions; an array has its element's alignment.
        unsafe { to.cast::<[u8; 4]>().write(self.0.map(nearest_byte)) }
    }

    #[inline(always)]
    unsafe fn store_bf16(self, to: *mut Bf16) {
        // SAFETY: the trait's conditions; an array has its element's alignment.
        unsafe { to.cast::<[Bf16; 4]>().write(self.0.map(Bf16::new)) }
    }

    #[inline(always)]
    unsafe fn bf16_pairs(low: Self, high: Self) -> Self {
        let bits = |value| u32::from(Bf16::new(value).to_bits());
        low.map(high, |low, high| f32::from_bits(bits(low) | bits(high) << 16))
    }
}

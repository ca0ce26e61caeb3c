//! A register of floats, for sums along rows.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

/// A register of floats.
///
/// # Safety
/// All functions: the processor has the register's instruction set, and they are inlined into a function that has its features.
pub(super) trait Register: Copy {
    /// Floats in it.
    const WIDTH: usize;
    /// # Safety
    /// The trait's conditions.
    unsafe fn zero() -> Self;
    /// # Safety
    /// The trait's conditions; `from` is readable for `WIDTH` floats.
    unsafe fn load(from: *const f32) -> Self;
    /// # Safety
    /// The trait's conditions.
    unsafe fn add(self, other: Self) -> Self;
    /// self * factor + sum.
    ///
    /// # Safety
    /// The trait's conditions.
    unsafe fn mul_add(self, factor: Self, sum: Self) -> Self;
    /// The sum of its floats.
    ///
    /// # Safety
    /// The trait's conditions.
    unsafe fn sum(self) -> f32;
}

#[cfg(target_arch = "x86_64")]
impl Register for __m512 {
    const WIDTH: usize = 16;

    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: the trait's conditions.
        unsafe { _mm512_setzero_ps() }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the trait's conditions.
        unsafe { _mm512_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: the trait's conditions.
        unsafe { _mm512_add_ps(self, other) }
    }

    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, sum: Self) -> Self {
        // SAFETY: the trait's conditions.
        unsafe { _mm512_fmadd_ps(self, factor, sum) }
    }

    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        // SAFETY: the trait's conditions.
        unsafe { _mm512_reduce_add_ps(self) }
    }
}

#[cfg(target_arch = "x86_64")]
impl Register for __m256 {
    const WIDTH: usize = 8;

    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: the trait's conditions.
        unsafe { _mm256_setzero_ps() }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the trait's conditions.
        unsafe { _mm256_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: the trait's conditions.
        unsafe { _mm256_add_ps(self, other) }
    }

    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, sum: Self) -> Self {
        // SAFETY: the trait's conditions.
        unsafe { _mm256_fmadd_ps(self, factor, sum) }
    }

    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        let mut lanes = [0.0; Self::WIDTH];
        // SAFETY: the trait's conditions; `lanes` takes a register.
        unsafe { _mm256_storeu_ps(lanes.as_mut_ptr(), self) };
        lanes.iter().sum()
    }
}

/// Plain Rust, which the compiler keeps in a register of whatever processor it builds for.
impl Register for [f32; 4] {
    const WIDTH: usize = 4;

    #[inline(always)]
    unsafe fn zero() -> Self {
        [0.0; 4]
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the trait's conditions; an array has its element's alignment.
        unsafe { from.cast::<[f32; 4]>().read() }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        std::array::from_fn(|i| self[i] + other[i])
    }

    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, sum: Self) -> Self {
        // Where there is no such instruction, `f32::mul_add` is a call into the C library.
        if cfg!(any(target_arch = "aarch64", target_feature = "fma")) {
            std::array::from_fn(|i| self[i].mul_add(factor[i], sum[i]))
        } else {
            std::array::from_fn(|i| self[i] * factor[i] + sum[i])
        }
    }

    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        self.iter().sum()
    }
}

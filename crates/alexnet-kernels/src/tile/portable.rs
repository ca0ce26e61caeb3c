//! Plain Rust: 4 floats at a time, which the compiler keeps in a vector register of whatever processor it builds for.
//!
//! 6 rows of 2 such registers are 12 sums, which fit the 16 registers of plain x86-64 (SSE2).

use super::body::{self, Vector};
use super::{Kernels, Raw};

#[derive(Clone, Copy)]
#[repr(C, align(16))]
struct Four([f32; 4]);

impl Four {
    #[inline(always)]
    fn map(self, other: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        Four(std::array::from_fn(|i| f(self.0[i], other.0[i])))
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
    unsafe fn splat(value: f32) -> Self {
        Four([value; 4])
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        self.map(other, |a, b| a + b)
    }

    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, sum: Self) -> Self {
        // Where there is no such instruction, `f32::mul_add` is a call into the C library.
        if cfg!(any(target_arch = "aarch64", target_feature = "fma")) {
            Four(std::array::from_fn(|i| self.0[i].mul_add(factor.0[i], sum.0[i])))
        } else {
            Four(std::array::from_fn(|i| self.0[i] * factor.0[i] + sum.0[i]))
        }
    }

    #[inline(always)]
    unsafe fn at_least(self, floor: Self) -> Self {
        self.map(floor, |a, floor| if a < floor { floor } else { a })
    }

    #[inline(always)]
    unsafe fn where_positive(self, mask: Self) -> Self {
        self.map(mask, |a, mask| if mask > 0.0 { a } else { 0.0 })
    }
}

unsafe fn tile<const ROWS: usize, const NEXT: bool>(t: &Raw) {
    // SAFETY: the caller keeps `Kernel`'s conditions; no features are needed.
    unsafe { body::tile::<Four, ROWS, 2, NEXT>(t) }
}

pub(super) static KERNELS: Kernels = Kernels {
    apart: &[tile::<1, false>, tile::<2, false>, tile::<3, false>, tile::<4, false>, tile::<5, false>, tile::<6, false>],
    next: &[tile::<1, true>, tile::<2, true>, tile::<3, true>, tile::<4, true>, tile::<5, true>, tile::<6, true>],
    lanes: 8,
};

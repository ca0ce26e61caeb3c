//! The tile's loop, written once over a vector register of any width.

use super::Raw;
use crate::pack::PANEL;

/// A register of floats.
pub(super) trait Vector: Copy {
    /// Floats in it.
    const WIDTH: usize;
    /// # Safety
    /// As for [`tile`]; `from` is readable for `WIDTH` floats.
    unsafe fn load(from: *const f32) -> Self;
    /// # Safety
    /// As for [`tile`]; `to` is writable for `WIDTH` floats.
    unsafe fn store(self, to: *mut f32);
    /// # Safety
    /// As for [`tile`].
    unsafe fn splat(value: f32) -> Self;
    /// # Safety
    /// As for [`tile`].
    unsafe fn add(self, other: Self) -> Self;
    /// self * factor + sum.
    ///
    /// # Safety
    /// As for [`tile`].
    unsafe fn mul_add(self, factor: Self, sum: Self) -> Self;
    /// `self`, or `floor` where that is larger; not-a-number where `self` is.
    ///
    /// # Safety
    /// As for [`tile`].
    unsafe fn at_least(self, floor: Self) -> Self;
    /// `self` where the mask is above zero, else zero.
    ///
    /// # Safety
    /// As for [`tile`].
    unsafe fn where_positive(self, mask: Self) -> Self;
}

/// Computes ROWS rows of VECTORS registers. NEXT: rows lie next to each other in `a`; otherwise the innermost terms do.
///
/// # Safety
/// See [`Kernel`](super::Kernel). It must be inlined into a function that has the features of `V`.
#[inline(always)]
pub(super) unsafe fn tile<V: Vector, const ROWS: usize, const VECTORS: usize, const NEXT: bool>(t: &Raw) {
    // SAFETY: all indices are those of the formula at the module's head, in bounds by the caller's promise.
    unsafe {
        let mut sums = [[V::splat(0.0); VECTORS]; ROWS];
        let row = if NEXT { 1 } else { t.row };
        let step = if NEXT { t.steps[2] } else { 1 };
        let mut b = t.b;
        for i in 0..t.counts[0] {
            for j in 0..t.counts[1] {
                let mut a = t.a.add(i * t.steps[0] + j * t.steps[1]);
                for _ in 0..t.counts[2] {
                    let mut lanes = [V::splat(0.0); VECTORS];
                    for (v, lanes) in lanes.iter_mut().enumerate() {
                        *lanes = V::load(b.add(v * V::WIDTH));
                    }
                    for (m, sums) in sums.iter_mut().enumerate() {
                        let value = V::splat(*a.add(m * row));
                        for (sum, lanes) in sums.iter_mut().zip(lanes) {
                            *sum = value.mul_add(lanes, *sum);
                        }
                    }
                    a = a.wrapping_add(step);
                    b = b.wrapping_add(PANEL);
                }
            }
        }
        let floor = V::splat(t.floor);
        for (m, sums) in sums.iter_mut().enumerate() {
            for (v, sum) in sums.iter_mut().enumerate() {
                *sum = sum.add(V::load(t.start.add(m * t.start_row + v * V::WIDTH))).at_least(floor);
                if !t.mask.is_null() {
                    *sum = sum.where_positive(V::load(t.mask.add(m * t.mask_row + v * V::WIDTH)));
                }
                sum.store(t.y.add(m * t.y_row + v * V::WIDTH));
            }
        }
    }
}

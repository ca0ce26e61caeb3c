//! Portable kernel of products with weights in file order, for one image.

use std::ops::Range;

use super::registers::Four;
use crate::linear::gemv::{Kernels, ROWS, body};

pub(super) const KERNELS: Kernels = Kernels { width: 4, by_images: &[kernel::<1>] };

unsafe fn kernel<const N: usize>(x: &[f32], w: [&[f32]; ROWS], range: Range<usize>, totals: &mut [f32]) {
    // SAFETY: the caller keeps `Kernel`'s conditions; portable registers need no features.
    unsafe { body::<Four, N>(x, w, range, totals) }
}

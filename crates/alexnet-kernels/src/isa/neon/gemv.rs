//! NEON kernels of products with weights in file order, for up to two images: the sums of three would not leave room for the rest.

use std::arch::aarch64::float32x4_t;
use std::ops::Range;

use crate::linear::gemv::{Kernels, ROWS, body};

pub(super) const KERNELS: Kernels = Kernels { width: 4, by_images: &[kernel::<1>, kernel::<2>] };

#[target_feature(enable = "neon")]
unsafe fn kernel<const N: usize>(x: &[f32], w: [&[f32]; ROWS], range: Range<usize>, totals: &mut [f32]) {
    // SAFETY: the caller keeps `Kernel`'s conditions, and this function has the features.
    unsafe { body::<float32x4_t, N>(x, w, range, totals) }
}

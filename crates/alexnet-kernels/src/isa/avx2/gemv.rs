//! AVX2 kernel of products with weights in file order, for one image.

use std::arch::x86_64::__m256;
use std::ops::Range;

use crate::linear::gemv::{Kernels, ROWS, body};

pub(super) const KERNELS: Kernels = Kernels { width: 8, by_images: &[kernel::<1>] };

#[target_feature(enable = "avx2,fma")]
unsafe fn kernel<const N: usize>(x: &[f32], w: [&[f32]; ROWS], range: Range<usize>, totals: &mut [f32]) {
    // SAFETY: the caller keeps `Kernel`'s conditions, and this function has the features.
    unsafe { body::<__m256, N>(x, w, range, totals) }
}

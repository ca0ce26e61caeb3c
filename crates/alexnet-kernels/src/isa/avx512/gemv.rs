//! AVX-512 kernels of products with weights in file order, for up to three images.

use std::arch::x86_64::__m512;
use std::ops::Range;

use crate::linear::gemv::{Kernels, ROWS, body};

pub(super) const KERNELS: Kernels = Kernels { width: 16, by_images: &[kernel::<1>, kernel::<2>, kernel::<3>] };

#[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")]
unsafe fn kernel<const N: usize>(x: &[f32], w: [&[f32]; ROWS], range: Range<usize>, totals: &mut [f32]) {
    // SAFETY: the caller keeps `Kernel`'s conditions, and this function has the features.
    unsafe { body::<__m512, N>(x, w, range, totals) }
}

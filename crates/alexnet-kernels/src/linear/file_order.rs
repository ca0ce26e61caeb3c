//! The forward pass of a few pictures on weights in file order, [outputs, inputs].
//!
//! With one picture each weight is used once, so the time is that of reading them: 58 million in AlexNet. Weights that
//! lie in a mapped file are read right there; packing them first would read and write them once more.
//!
//! A task takes some rows of the weights, four side by side. Their sums run along the inputs:
//!
//! ```text
//!            x: [ 16 inputs ][ 16 inputs ] ...         from the first-level cache, loaded once for the four rows
//! w[row 0]  x   [ sum 0, 0  ][ sum 0, 1  ]
//! ...                                                  8 sums in flight; with more pictures, one for each row and picture
//! w[row 3]  x   [ sum 3, 0  ][ sum 3, 1  ]
//! ```
//!
//! On two Zen 5 cores this reads fc6 at 65 GB/s, as fast as a loop that only adds all weights up. Two rows or eight were
//! a little slower; prefetching by hand changed nothing.

use super::Shape;
use crate::buffer::with_scratch;
use crate::context::Context;
use crate::isa::Isa;
use crate::pack::Filters;
use crate::simd::{Four, Vector};
use crate::threads::Parts;
use crate::tile::cut;

/// Rows of weights side by side.
const ROWS: usize = 4;
/// Rows of one task: 590 KB in fc6, 20 microseconds.
const TASK: usize = 16;
/// Registers along the inputs that are summed before they are added to the totals: see [`tile`](crate::tile).
const BLOCK: usize = 32;

/// The most pictures for which this is the faster way, when the weights are not packed yet.
pub const FEW: usize = 16;

/// As [`forward`](super::forward), with weights in file order: those of a linear layer on a flattened map
/// ([`Filters::linear_on_map`]), [outputs, (C, H, W)]. `x` is `n` maps [H, W, C] without a border.
///
/// # Panics
/// When a slice is too short for the shape, or the filters are in groups.
#[allow(clippy::too_many_arguments)]
pub fn forward_file_order(
    context: &Context<'_>,
    filters: &Filters,
    n: usize,
    x: &[f32],
    w: &[f32],
    bias: &[f32],
    relu: bool,
    y: &mut [f32],
) {
    let Filters { k: outputs, c, r, s, groups } = *filters;
    let (inputs, pixels) = (filters.depth(), r * s);
    assert_eq!(groups, 1, "a linear layer has no groups");
    assert!(x.len() >= n * inputs && y.len() >= n * outputs, "x or y is too short for {n} pictures and {filters:?}");
    assert_eq!((w.len(), bias.len()), (filters.len(), outputs), "weights and biases of {filters:?}");
    if pixels == 1 {
        return products(context, &Shape { n, inputs, outputs }, x, w, bias, relu, y);
    }
    with_scratch(n * inputs, |planes| {
        for (x, planes) in x.chunks_exact(inputs).zip(planes.chunks_exact_mut(inputs)) {
            for (channel, plane) in planes.chunks_exact_mut(pixels).enumerate() {
                for (to, pixel) in plane.iter_mut().zip(x.chunks_exact(c)) {
                    *to = pixel[channel];
                }
            }
        }
        products(context, &Shape { n, inputs, outputs }, planes, w, bias, relu, y);
    });
}

fn products(context: &Context<'_>, shape: &Shape, x: &[f32], w: &[f32], bias: &[f32], relu: bool, y: &mut [f32]) {
    let Shape { n, inputs, outputs } = *shape;
    let kernels = kernels(context.isa);
    let y = Parts::new(y);
    context.threads.run(outputs.div_ceil(TASK), &|task| {
        let last = outputs.min((task + 1) * TASK);
        for first in (task * TASK..last).step_by(ROWS) {
            let rows = ROWS.min(last - first);
            // Rows past the last output: the last one again.
            let w: [&[f32]; ROWS] = std::array::from_fn(|row| &w[(first + row.min(rows - 1)) * inputs..][..inputs]);
            for (picture, count) in cut(n, kernels.len()) {
                let mut sums = [[0.0; ROWS]; MOST_PICTURES];
                let x = &x[picture * inputs..(picture + count) * inputs];
                // SAFETY: `isa` is supported by the condition on a `Context`; x has `count` rows.
                unsafe { kernels[count - 1](x, w, &mut sums) };
                for (i, sums) in sums.iter().enumerate().take(count) {
                    // SAFETY: these outputs belong to this task alone.
                    let y = unsafe { y.slice((picture + i) * outputs + first, rows) };
                    for ((y, sum), bias) in y.iter_mut().zip(sums).zip(&bias[first..]) {
                        let value = sum + bias;
                        // Not a number stays what it is.
                        *y = if relu && value < 0.0 { 0.0 } else { value };
                    }
                }
            }
        }
    });
}

/// The most pictures whose sums fit the registers beside each other: 16 sums, 4 values of x and a weight.
const MOST_PICTURES: usize = 4;

/// Multiplies one to [`MOST_PICTURES`] rows of x, as long as those of w, with four rows of w: sums[picture][row].
///
/// # Safety
/// The processor has the kernel's instruction set, and x has as many rows as the kernel wants.
type Kernel = unsafe fn(&[f32], [&[f32]; ROWS], &mut [[f32; ROWS]; MOST_PICTURES]);

/// Kernels by pictures - 1. AVX2 and SSE2 have 16 registers, which hold the sums of two.
fn kernels(isa: Isa) -> &'static [Kernel] {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => &[avx512::<1, 2>, avx512::<2, 1>, avx512::<3, 1>, avx512::<4, 1>],
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => &[avx2::<1, 2>, avx2::<2, 1>],
        _ => &[portable::<1, 2>, portable::<2, 1>],
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")]
unsafe fn avx512<const N: usize, const A: usize>(x: &[f32], w: [&[f32]; ROWS], sums: &mut [[f32; ROWS]; MOST_PICTURES]) {
    // SAFETY: the caller keeps `Kernel`'s conditions, and this function has the features.
    unsafe { body::<std::arch::x86_64::__m512, N, A>(x, w, sums) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2<const N: usize, const A: usize>(x: &[f32], w: [&[f32]; ROWS], sums: &mut [[f32; ROWS]; MOST_PICTURES]) {
    // SAFETY: the caller keeps `Kernel`'s conditions, and this function has the features.
    unsafe { body::<std::arch::x86_64::__m256, N, A>(x, w, sums) }
}

unsafe fn portable<const N: usize, const A: usize>(x: &[f32], w: [&[f32]; ROWS], sums: &mut [[f32; ROWS]; MOST_PICTURES]) {
    // SAFETY: the caller keeps `Kernel`'s conditions; portable registers need no features.
    unsafe { body::<Four, N, A>(x, w, sums) }
}

/// N pictures, A registers along the inputs for each row and picture.
///
/// # Safety
/// See [`Kernel`]. It must be inlined into a function that has the features of `V`.
#[inline(always)]
unsafe fn body<V: Vector, const N: usize, const A: usize>(x: &[f32], w: [&[f32]; ROWS], sums: &mut [[f32; ROWS]; MOST_PICTURES]) {
    let inputs = w[0].len();
    debug_assert!(x.len() == N * inputs && w.iter().all(|row| row.len() == inputs));
    let step = A * V::WIDTH;
    let whole = inputs / step * step;
    // SAFETY: `whole` is a multiple of a step and no more than the inputs, so that each load is within its row.
    unsafe {
        let zero = V::splat(0.0);
        let (x, w) = (x.as_ptr(), w.map(|row| row.as_ptr()));
        let mut totals = [[zero; ROWS]; N];
        let mut at = 0;
        while at < whole {
            let mut parts = [[[zero; A]; ROWS]; N];
            let end = whole.min(at + BLOCK * step);
            while at < end {
                for a in 0..A {
                    let at = at + a * V::WIDTH;
                    let mut values = [zero; N];
                    for (n, value) in values.iter_mut().enumerate() {
                        *value = V::load(x.add(n * inputs + at));
                    }
                    for (row, w) in w.iter().enumerate() {
                        let weights = V::load(w.add(at));
                        for (parts, value) in parts.iter_mut().zip(values) {
                            parts[row][a] = weights.mul_add(value, parts[row][a]);
                        }
                    }
                }
                at += step;
            }
            for (totals, parts) in totals.iter_mut().zip(parts) {
                for (total, parts) in totals.iter_mut().zip(parts) {
                    for part in parts {
                        *total = total.add(part);
                    }
                }
            }
        }
        for (n, (sums, totals)) in sums.iter_mut().zip(totals).enumerate() {
            for (row, (sum, total)) in sums.iter_mut().zip(totals).enumerate() {
                *sum = total.sum();
                for at in whole..inputs {
                    *sum += *w[row].add(at) * *x.add(n * inputs + at);
                }
            }
        }
    }
}

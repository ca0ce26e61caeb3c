//! Forward pass of a few images on weights in file order, [outputs, inputs].
//!
//! With one image each weight is used once, so reading the weights dominates the time: 58 million in AlexNet. Weights in a
//! memory-mapped file are read in place; packing them first would read and write them once more.
//!
//! A task processes some rows of the weights, four at a time. Their sums run along the inputs:
//!
//! ```text
//!            x: [ 16 inputs ][ 16 inputs ] ...         from the first-level cache, loaded once for the four rows
//! w[row 0]  x   [ sum 0, 0  ][ sum 0, 1  ]
//! ...                                                  8 sums in flight; with more images, one for each row and image
//! w[row 3]  x   [ sum 3, 0  ][ sum 3, 1  ]
//! ```
//!
//! On two Zen 5 cores this reads fc6 at 65 GB/s, as fast as a loop that only sums all weights. Two rows or eight were slightly
//! slower; manual prefetching made no difference, not even with 32 images.
//!
//! An image's sums are added in an order that depends on the layer alone, so its outputs are bit-identical regardless of the rest
//! of the batch. More images than a kernel takes process the weights in stretches of some thousand inputs, which stay in the
//! caches, while the sums wait in memory.

use super::Shape;
use crate::buffer::with_scratch;
use crate::context::Context;
use crate::executor::DisjointSlices;
use crate::gemm::cut;
use crate::simd::{LANES, Vector};
use crate::weight_layout::Filters;
use std::ops::Range;

/// Rows of weights processed together.
pub(crate) const ROWS: usize = 4;
/// Rows per task: 590 KB in fc6, 20 microseconds.
const TASK: usize = 16;
/// Registers along the inputs for each row and image.
const ALONG: usize = 2;
/// Steps of so many registers summed before they are added to the totals: see [`tile`](crate::gemm).
const BLOCK: usize = 32;
/// Blocks per stretch: with registers of 16 floats 1024 inputs, 64 KiB of a task's weights.
const STRETCH: usize = 1;

/// Maximum number of images for which this is faster than packing the weights first.
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
    let Kernels { width, by_images: kernels } = context.isa.kernels().gemv;
    let whole = inputs / (ALONG * width) * (ALONG * width);
    // Up to a kernel's number of images, the weights are simply read in order.
    let stretch = if n <= kernels.len() { whole.max(1) } else { STRETCH * BLOCK * ALONG * width };
    let y = DisjointSlices::new(y);
    context.threads.run(outputs.div_ceil(TASK), &|task| {
        let last = outputs.min((task + 1) * TASK);
        with_scratch(n * TASK * width, |totals: &mut [f32]| {
            totals.fill(0.0);
            for from in (0..whole).step_by(stretch) {
                let range = from..whole.min(from + stretch);
                for first in (task * TASK..last).step_by(ROWS) {
                    let w = rows_of(w, inputs, first, last);
                    for (image, count) in cut(n, kernels.len()) {
                        let x = &x[image * inputs..(image + count) * inputs];
                        let totals = &mut totals[(first % TASK * n + image * ROWS) * width..][..count * ROWS * width];
                        // SAFETY: `isa` is supported by the condition on a `Context`; x has `count` rows as long as those of w,
                        // within which the range lies, whole steps; there are `count` times ROWS totals.
                        unsafe { kernels[count - 1](x, w, range.clone(), totals) };
                    }
                }
            }
            for first in (task * TASK..last).step_by(ROWS) {
                let (w, rows) = (rows_of(w, inputs, first, last), ROWS.min(last - first));
                for image in 0..n {
                    let totals = &totals[(first % TASK * n + image * ROWS) * width..][..ROWS * width];
                    // SAFETY: these outputs belong to this task alone.
                    let y = unsafe { y.slice(image * outputs + first, rows) };
                    let x = &x[image * inputs + whole..(image + 1) * inputs];
                    for (row, (y, total)) in y.iter_mut().zip(totals.chunks_exact(width)).enumerate() {
                        let rest = w[row][whole..].iter().zip(x);
                        let value = rest.fold(sum_of(total), |sum, (w, x)| sum + w * x) + bias[first + row];
                        // NaN is preserved.
                        *y = if relu && value < 0.0 { 0.0 } else { value };
                    }
                }
            }
        });
    });
}

/// Rows of weights starting at `first`; rows past the last output are replaced by the last one.
fn rows_of(w: &[f32], inputs: usize, first: usize, last: usize) -> [&[f32]; ROWS] {
    std::array::from_fn(|row| &w[(first + row).min(last - 1) * inputs..][..inputs])
}

/// Sum of a register's values: neighbours are added, then neighbouring sums.
fn sum_of(register: &[f32]) -> f32 {
    let mut sums = [0.0; LANES];
    sums[..register.len()].copy_from_slice(register);
    let mut len = register.len();
    while len > 1 {
        len /= 2;
        for i in 0..len {
            sums[i] = sums[2 * i] + sums[2 * i + 1];
        }
    }
    sums[0]
}

/// Adds products of a few images' rows of x with four rows of w of the same length to `totals[image][row][a register]`, for the
/// inputs in the range, whole steps of [`ALONG`] registers.
///
/// # Safety
/// The CPU supports the kernel's instruction set, x has as many rows as the kernel processes, the range is within them, and there
/// are as many totals.
pub(crate) type Kernel = unsafe fn(&[f32], [&[f32]; ROWS], Range<usize>, &mut [f32]);

/// The kernels of an instruction set. AVX-512's 32 registers hold the sums of three images, 24, with 6 of x and a weight. With them NEON's
/// 32, which load two registers at once, spill; they hold the sums of two, AVX2's and SSE2's 16 those of one.
#[derive(Clone, Copy)]
pub(crate) struct Kernels {
    /// Floats in a register.
    pub(crate) width: usize,
    /// By number of images - 1.
    pub(crate) by_images: &'static [Kernel],
}

/// Processes N images.
///
/// # Safety
/// See [`Kernel`]. It must be inlined into a function that has the features of `V`.
#[inline(always)]
#[allow(clippy::needless_range_loop)]
pub(crate) unsafe fn body<V: Vector, const N: usize>(x: &[f32], w: [&[f32]; ROWS], range: Range<usize>, totals: &mut [f32]) {
    let inputs = w[0].len();
    let step = ALONG * V::WIDTH;
    debug_assert!(x.len() == N * inputs && w.iter().all(|row| row.len() == inputs));
    debug_assert!(range.end <= inputs && range.len().is_multiple_of(step) && totals.len() == N * ROWS * V::WIDTH);
    // SAFETY: the range is whole steps within the rows, so that each load is within its row; a total is a register.
    unsafe {
        let zero = V::splat(0.0);
        let (x, w) = (x.as_ptr(), w.map(|row| row.as_ptr()));
        let mut at = range.start;
        while at < range.end {
            let mut parts = [[[zero; ALONG]; ROWS]; N];
            let end = range.end.min(at + BLOCK * step);
            while at < end {
                for a in 0..ALONG {
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
            // Indexed loops, which the compiler unrolls: with iterators it kept all sums in memory, and 3 images took twice as
            // long.
            for n in 0..N {
                for row in 0..ROWS {
                    let place = totals.as_mut_ptr().add((n * ROWS + row) * V::WIDTH);
                    let mut total = V::load(place);
                    for a in 0..ALONG {
                        total = total.add(parts[n][row][a]);
                    }
                    total.store(place);
                }
            }
        }
    }
}

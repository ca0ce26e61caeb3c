//! Matrix multiplication microkernels: the inner loop of every convolution and matrix product, a tile kept in registers.
//!
//! ```text
//! y[m, lane] = start[m, lane] + sum over i, j, k of a[m row + i steps[0] + j steps[1] + k steps[2]] * b[i, j, k, lane]
//! ```
//!
//! A tile has up to [`max_rows`] rows and a panel's 32 lanes. `b` is packed, 32 lanes after 32 lanes in summation order; `a` is
//! read in place, one value broadcast over the lanes at a time:
//!
//! ```text
//!             b: [ lanes 0..16 ][ lanes 16..32 ]           loaded once for all rows
//! a[row 0]  x    [ sum 0, 0    ][ sum 0, 1     ]
//! a[row 1]  x    [ sum 1, 0    ][ sum 1, 1     ]           AVX-512: 14 rows of 2 registers are 28 sums in flight
//! ...                                                      (2 units of latency 4 need 8), 2 for b, 1 for the broadcast
//! ```
//!
//! The caller defines rows, lanes and the sum: pixels, outputs and (r, s, c) in a convolution; (r, s, c), outputs and pixels in
//! its weight gradient.
//!
//! Shorter values are packed in 32-bit words ([`DType`]): two bf16 or four int8 values are neighbouring terms of the sum, and one
//! instruction multiplies two words' values and adds all products to one accumulator. "One value" above then means a word; the
//! loop is the same, and only the instruction differs.

mod dtype;
pub(crate) mod microkernel;
#[cfg(test)]
mod tests;
mod words;

pub(crate) use dtype::{DType, Float};
pub(crate) use words::pack_words;

use crate::isa::Isa;
use crate::weight_layout::PANEL;

/// Maximum number of rows of a tile for any instruction set.
pub(crate) const MAX_ROWS: usize = 14;

/// Initial lanes of a tile that starts at zero.
static ZEROS: [f32; PANEL] = [0.0; PANEL];

/// One tile of a product; see the module documentation.
#[derive(Clone, Copy)]
pub(crate) struct Tile<'a, E: DType> {
    /// Values of `a`, starting with row 0 and the first term of the sum.
    pub(crate) a: &'a [E],
    /// Row stride in `a`.
    pub(crate) row: usize,
    /// Words in the three nested loops of the sum, outermost first.
    pub(crate) counts: [usize; 3],
    /// Word stride in `a` for each of the loops.
    pub(crate) steps: [usize; 3],
    /// Packed lanes, one panel of words after another.
    pub(crate) b: &'a [u32],
    /// Initial value of the sum.
    pub(crate) start: Start<'a, E::Sum>,
    /// Lower bound of the result: 0 for a ReLU, minus infinity for none. NaN passes. Not applied to integers.
    pub(crate) floor: f32,
    /// Mask and its row stride: `y` becomes zero where the mask is not positive. Not for integers.
    pub(crate) mask: Option<(&'a [f32], usize)>,
    /// Row stride in `y`.
    pub(crate) y_row: usize,
    /// Number of lanes to write: 1 to 32.
    pub(crate) lanes: usize,
}

/// Initial value of a tile's sum.
#[derive(Clone, Copy)]
pub(crate) enum Start<'a, T> {
    /// Zero.
    Zero,
    /// The same lanes for every row.
    Lanes(&'a [T]),
    /// The current content of `y`.
    Y,
}

/// A checked [`Tile`] as passed to the kernels, with enough lanes everywhere. Sums are 32-bit floats or integers.
#[derive(Clone, Copy)]
pub(crate) struct Raw {
    a: *const u8,
    /// In bytes.
    row: usize,
    counts: [usize; 3],
    /// In bytes.
    steps: [usize; 3],
    b: *const f32,
    start: *const f32,
    start_row: usize,
    floor: f32,
    mask: *const f32,
    mask_row: usize,
    y: *mut f32,
    y_row: usize,
}

/// A kernel for a fixed number of rows.
///
/// # Safety
/// The CPU supports the kernel's instruction set; every index of the formula above is within its buffer, for the kernel's rows
/// and lanes; nothing else accesses those of `y` meanwhile. `mask` may be null.
pub(crate) type Kernel = unsafe fn(&Raw);

/// Kernels of an instruction set for one data type.
#[derive(Clone, Copy)]
pub(crate) struct Kernels {
    /// By number of rows, if the words of the innermost loop are adjacent.
    pub(crate) apart: fn(usize) -> Kernel,
    /// By number of rows, if rows are adjacent.
    pub(crate) next: fn(usize) -> Kernel,
    /// Lanes per call.
    pub(crate) lanes: usize,
    /// Maximum number of rows.
    pub(crate) rows: usize,
}

/// Family of kernels that differ only in their number of rows.
pub(crate) trait Family {
    /// # Safety
    /// See [`Kernel`].
    unsafe fn run<const ROWS: usize>(tile: &Raw);
}

/// The kernel of a family for 1 to 14 rows.
#[allow(dead_code)] // Only sets with 32 registers use it.
pub(crate) fn by_rows<F: Family>(rows: usize) -> Kernel {
    match rows {
        1 => F::run::<1>,
        2 => F::run::<2>,
        3 => F::run::<3>,
        4 => F::run::<4>,
        5 => F::run::<5>,
        6 => F::run::<6>,
        7 => F::run::<7>,
        8 => F::run::<8>,
        9 => F::run::<9>,
        10 => F::run::<10>,
        11 => F::run::<11>,
        12 => F::run::<12>,
        13 => F::run::<13>,
        14 => F::run::<14>,
        _ => unreachable!("{rows} rows in a tile"),
    }
}

/// The kernel of a family for 1 to 6 rows, which fill 16 registers.
pub(crate) fn by_few_rows<F: Family>(rows: usize) -> Kernel {
    match rows {
        1 => F::run::<1>,
        2 => F::run::<2>,
        3 => F::run::<3>,
        4 => F::run::<4>,
        5 => F::run::<5>,
        6 => F::run::<6>,
        _ => unreachable!("{rows} rows in a tile"),
    }
}

/// Maximum number of rows of a tile.
pub(crate) fn max_rows<E: DType>(isa: Isa) -> usize {
    E::kernels(isa, PANEL).rows
}

/// Splits `total` rows into the fewest tiles that `isa` allows, as evenly as possible: 27 into 14 + 13. Yields the first row and
/// the number of rows.
pub(crate) fn cut(total: usize, max: usize) -> impl Iterator<Item = (usize, usize)> {
    let tiles = total.div_ceil(max);
    (0..tiles).map(move |i| (i * total / tiles, (i + 1) * total / tiles - i * total / tiles))
}

impl<E: DType> Tile<'_, E> {
    /// Computes `rows` rows and writes them to `y`.
    ///
    /// # Safety
    /// `y` is writable at `m y_row + lane` for each row m and each lane below `lanes`, and nothing else accesses these floats
    /// meanwhile.
    ///
    /// # Panics
    /// If a slice is too short for the indices, there are too many rows, or neither the rows nor the innermost terms are
    /// adjacent.
    pub(crate) unsafe fn run(&self, isa: Isa, rows: usize, y: *mut E::Sum) {
        debug_assert!(isa.is_supported());
        // SAFETY: the caller's promise; `isa` is supported by the condition on a `Context`.
        unsafe { self.run_by(E::kernels(isa, self.lanes), rows, y) }
    }

    /// [`run`](Self::run) with the given kernels.
    ///
    /// # Safety
    /// That of `run`, and the CPU supports the kernels.
    unsafe fn run_by(&self, kernels: Kernels, rows: usize, y: *mut E::Sum) {
        let last: usize = self.counts.iter().zip(self.steps).map(|(&count, step)| (count - 1) * step).sum();
        assert!(
            self.counts.iter().all(|&count| count > 0) && last + (rows - 1) * self.row + E::WORD <= self.a.len(),
            "a is too short"
        );
        assert!(self.counts.iter().product::<usize>() * PANEL <= self.b.len(), "b is too short");
        assert!(self.lanes > 0 && self.lanes <= PANEL && rows > 0);
        assert!(self.mask.is_none_or(|(mask, row)| (rows - 1) * row + self.lanes <= mask.len()), "the mask is too short");
        assert!(rows <= kernels.rows, "too many rows");
        assert!(self.row == E::WORD || self.steps[2] == E::WORD, "neither rows nor words are contiguous");
        let kernel = if self.row == E::WORD { (kernels.next)(rows) } else { (kernels.apart)(rows) };

        let y: *mut f32 = y.cast();
        let (start, start_row) = match self.start {
            Start::Zero => (ZEROS.as_ptr(), 0),
            Start::Lanes(lanes) => {
                assert!(lanes.len() >= self.lanes, "too few lanes to start from");
                (lanes.as_ptr().cast(), 0)
            }
            Start::Y => (y.cast_const(), self.y_row),
        };
        let (mask, mask_row) = self.mask.map_or((std::ptr::null(), 0), |(mask, row)| (mask.as_ptr(), row));
        let Tile { counts, floor, y_row, .. } = *self;
        let (row, steps) = (self.row * size_of::<E>(), self.steps.map(|step| step * size_of::<E>()));
        let (a, b) = (self.a.as_ptr().cast(), self.b.as_ptr().cast());
        let raw = Raw { a, row, counts, steps, b, start, start_row, floor, mask, mask_row, y, y_row };
        // SAFETY: the processor has the instruction set by the caller's promise; the assertions above bound every index but those
        // of `y`, which the caller answers for.
        unsafe {
            if self.lanes.is_multiple_of(kernels.lanes) {
                run_lanes(kernel, kernels.lanes, self.lanes, &raw);
            } else {
                run_some_lanes(kernel, kernels.lanes, self.lanes, rows, &raw);
            }
        }
    }
}

/// Runs a kernel once per width within `lanes`, a multiple of `width`.
///
/// # Safety
/// See [`Kernel`].
unsafe fn run_lanes(kernel: Kernel, width: usize, lanes: usize, raw: &Raw) {
    for lane in (0..lanes).step_by(width) {
        let mask = if raw.mask.is_null() { raw.mask } else { raw.mask.wrapping_add(lane) };
        let (b, start, y) = (raw.b.wrapping_add(lane), raw.start.wrapping_add(lane), raw.y.wrapping_add(lane));
        // SAFETY: the caller's promise.
        unsafe { kernel(&Raw { b, start, mask, y, ..*raw }) };
    }
}

/// Runs a kernel that writes more than `lanes` lanes on copies of whole panels.
///
/// # Safety
/// See [`Kernel`], for `lanes` lanes only.
unsafe fn run_some_lanes(kernel: Kernel, width: usize, lanes: usize, rows: usize, raw: &Raw) {
    let mut whole = [0.0; MAX_ROWS * PANEL];
    for m in 0..rows {
        // SAFETY: `start` has `lanes` floats in each row: the caller's promise.
        let start = unsafe { std::slice::from_raw_parts(raw.start.add(m * raw.start_row), lanes) };
        whole[m * PANEL..][..lanes].copy_from_slice(start);
    }
    let y = whole.as_mut_ptr();
    let copied = Raw { start: y.cast_const(), start_row: PANEL, mask: std::ptr::null(), y, y_row: PANEL, ..*raw };
    // SAFETY: the caller's promise; `whole` has a panel's lanes for the most rows of any kernel.
    unsafe { run_lanes(kernel, width, lanes.next_multiple_of(width), &copied) };
    for m in 0..rows {
        for lane in 0..lanes {
            // SAFETY: `lane` is below `lanes`: the caller's promise for `mask` and `y`; `whole` is read within its rows.
            unsafe {
                let pass = raw.mask.is_null() || *raw.mask.add(m * raw.mask_row + lane) > 0.0;
                *raw.y.add(m * raw.y_row + lane) = if pass { *y.add(m * PANEL + lane) } else { 0.0 };
            }
        }
    }
}

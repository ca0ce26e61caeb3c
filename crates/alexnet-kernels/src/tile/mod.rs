//! The one inner loop of every convolution and matrix product: a tile of a product, kept in registers.
//!
//! ```text
//! y[m, lane] = start[m, lane] + sum over i, j, k of a[m row + i steps[0] + j steps[1] + k steps[2]] * b[i, j, k, lane]
//! ```
//!
//! A tile has up to [`max_rows`] rows and a panel's 32 lanes. `b` is packed, 32 lanes after 32 lanes in the order of the sum;
//! `a` is read where it lies, one value broadcast over the lanes at a time:
//!
//! ```text
//!             b: [ lanes 0..16 ][ lanes 16..32 ]           loaded once for all rows
//! a[row 0]  x    [ sum 0, 0    ][ sum 0, 1     ]
//! a[row 1]  x    [ sum 1, 0    ][ sum 1, 1     ]           AVX-512: 14 rows of 2 registers are 28 sums in flight
//! ...                                                      (2 units of latency 4 need 8), 2 for b, 1 for the broadcast
//! ```
//!
//! What a row, a lane and the sum are is the caller's: pixels, outputs and (r, s, c) in a convolution; (r, s, c), outputs and
//! pixels in its weight gradient.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod body;
mod portable;

use crate::isa::Isa;
use crate::pack::PANEL;

/// The most rows a tile has for any instruction set.
pub(crate) const MAX_ROWS: usize = 14;

/// Lanes to start from when a tile starts at zero.
pub(crate) static ZEROS: [f32; PANEL] = [0.0; PANEL];

/// One tile of a product, see the module's head.
#[derive(Clone, Copy)]
pub(crate) struct Tile<'a> {
    /// Begins with the value for row 0 and the first term of the sum.
    pub(crate) a: &'a [f32],
    /// Floats in `a` from one row to the next.
    pub(crate) row: usize,
    /// Terms of the three nested loops of the sum, outermost first.
    pub(crate) counts: [usize; 3],
    /// Floats in `a` from one term to the next, for each of the loops.
    pub(crate) steps: [usize; 3],
    /// Packed lanes, one panel a term.
    pub(crate) b: &'a [f32],
    /// What the sum is added to.
    pub(crate) start: Start<'a>,
    /// Values below become this: 0 for a ReLU, minus infinity to keep all. Not-a-numbers pass.
    pub(crate) floor: f32,
    /// Where these rows, so many floats apart, are not above zero, `y` becomes zero.
    pub(crate) mask: Option<(&'a [f32], usize)>,
    /// Floats in `y` from one row to the next.
    pub(crate) y_row: usize,
    /// Lanes to be written: 1 to 32.
    pub(crate) lanes: usize,
}

/// What a tile's sum is added to.
#[derive(Clone, Copy)]
pub(crate) enum Start<'a> {
    /// The same lanes for every row.
    Lanes(&'a [f32]),
    /// What `y` holds already.
    Y,
}

/// A [`Tile`] as the kernels take it: checked, and with enough lanes everywhere.
#[derive(Clone, Copy)]
struct Raw {
    a: *const f32,
    row: usize,
    counts: [usize; 3],
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

/// A kernel for a certain number of rows.
///
/// # Safety
/// The processor has the kernel's instruction set; every index of the formula above is within its buffer, for the kernel's
/// rows and lanes; nobody else touches those of `y` meanwhile. `mask` may be null.
type Kernel = unsafe fn(&Raw);

/// Kernels by rows - 1, and lanes of one call; `next` when rows lie next to each other (`row` is 1), `apart` when the terms of
/// the innermost loop do (its step is 1).
struct Kernels {
    apart: &'static [Kernel],
    next: &'static [Kernel],
    lanes: usize,
}

fn kernels(isa: Isa, lanes: usize) -> &'static Kernels {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 if lanes <= avx512::HALF.lanes => &avx512::HALF,
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => &avx512::FULL,
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => &avx2::KERNELS,
        _ => {
            let _ = lanes;
            &portable::KERNELS
        }
    }
}

/// The most rows a tile may have.
pub(crate) fn max_rows(isa: Isa) -> usize {
    kernels(isa, PANEL).apart.len()
}

/// Cuts `total` rows into the fewest tiles that `isa` allows, as evenly as can be: 27 into 14 + 13, not 14 + 13 idle ones.
/// Yields the first row and the number of rows.
pub(crate) fn cut(total: usize, max: usize) -> impl Iterator<Item = (usize, usize)> {
    let tiles = total.div_ceil(max);
    (0..tiles).map(move |i| (i * total / tiles, (i + 1) * total / tiles - i * total / tiles))
}

impl Tile<'_> {
    /// Computes `rows` rows and writes them to `y`.
    ///
    /// # Safety
    /// `y` can be written at `m y_row + lane` for each row m and each lane below `lanes`, and nobody else touches these
    /// floats meanwhile.
    ///
    /// # Panics
    /// When a slice is too short for the indices, when there are too many rows, or when neither the rows nor the innermost
    /// terms lie next to each other.
    pub(crate) unsafe fn run(&self, isa: Isa, rows: usize, y: *mut f32) {
        debug_assert!(isa.is_supported());
        let last: usize = self.counts.iter().zip(self.steps).map(|(&count, step)| (count - 1) * step).sum();
        assert!(self.counts.iter().all(|&count| count > 0) && last + (rows - 1) * self.row < self.a.len(), "a is too short");
        assert!(self.counts.iter().product::<usize>() * PANEL <= self.b.len(), "b is too short");
        assert!(self.lanes > 0 && self.lanes <= PANEL && rows > 0);
        assert!(self.mask.is_none_or(|(mask, row)| (rows - 1) * row + self.lanes <= mask.len()), "the mask is too short");
        let kernels = kernels(isa, self.lanes);
        let kernel = if self.row == 1 { kernels.next[rows - 1] } else { kernels.apart[rows - 1] };
        assert!(self.row == 1 || self.steps[2] == 1, "neither rows nor terms are contiguous");

        let (start, start_row) = match self.start {
            Start::Lanes(lanes) => {
                assert!(lanes.len() >= self.lanes, "too few lanes to start from");
                (lanes.as_ptr(), 0)
            }
            Start::Y => (y.cast_const(), self.y_row),
        };
        let (mask, mask_row) = self.mask.map_or((std::ptr::null(), 0), |(mask, row)| (mask.as_ptr(), row));
        let Tile { row, counts, steps, floor, y_row, .. } = *self;
        let (a, b) = (self.a.as_ptr(), self.b.as_ptr());
        let raw = Raw { a, row, counts, steps, b, start, start_row, floor, mask, mask_row, y, y_row };
        // SAFETY: `isa` is supported by the condition on a `Context`; the assertions above bound every index but those
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

/// Runs a kernel for each of its widths that fit `lanes`, a multiple of `width`.
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

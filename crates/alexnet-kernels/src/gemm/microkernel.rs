//! The microkernel's loop, generic over vector width and data type.

use std::mem::MaybeUninit;

use super::{MAX_ROWS, Raw};
use crate::simd::{Vector, prefetch};
use crate::weight_layout::PANEL;

/// Neighbouring terms of a tile's sum.
#[derive(Clone, Copy)]
#[cfg_attr(not(target_arch = "aarch64"), allow(dead_code))] // Only NEON has loops of its own.
pub(crate) struct Run {
    /// The first row's word of the first term.
    pub(crate) a: *const u8,
    /// Bytes from row to row.
    pub(crate) row: usize,
    /// Bytes from term to term.
    pub(crate) step: usize,
    /// The first term's lanes; those of the next are a panel further.
    pub(crate) b: *const f32,
    /// Number of terms.
    pub(crate) terms: usize,
}

/// Multiplication and accumulation of words.
pub(crate) trait Terms<V> {
    /// Whether sums are floats, to which floor and mask apply.
    const FLOATS: bool;
    /// Terms accumulated in registers before they are added to the totals in memory.
    const BLOCK: usize;
    /// `sum` plus the products of two words' values.
    ///
    /// # Safety
    /// As for [`tile`].
    unsafe fn dot(a: V, b: V, sum: V) -> V;
    /// # Safety
    /// As for [`tile`].
    unsafe fn add(a: V, b: V) -> V;
    /// Whether [`run`](Self::run) replaces the loop of [`tile`] over terms.
    const OWN_LOOP: bool = false;
    /// The sums with the products of a run added, for sets that multiply by one word of a register without broadcasting it.
    ///
    /// # Safety
    /// As for [`tile`].
    #[inline(always)]
    unsafe fn run<const ROWS: usize, const VECTORS: usize, const NEXT: bool>(
        _: Run,
        sums: [[V; VECTORS]; ROWS],
    ) -> [[V; VECTORS]; ROWS] {
        sums
    }
}

/// A sum of 1,600 terms (conv2) in blocks of 32 rounds like one of 32 and one of 50, with a sixth of the error of one long sum,
/// so that fewer ReLUs with inputs close to zero flip compared with exact arithmetic. Costs 2 % of the time.
pub(crate) const FLOAT_BLOCK: usize = 32;
/// Products of bf16 have larger rounding errors than any sum of them, and integers have none.
pub(crate) const LONG_BLOCK: usize = 512;

/// Prefetch distance of `b` in terms. When `b` comes from the L3 cache, as Winograd's weights do, a CPU that does not prefetch
/// across 4 KiB pages stalls at each: on Cascade Lake conv4's forward pass reached 98 to 123 GFLOP/s per core without
/// prefetching, 154 to 171 with 16 terms, 168 to 186 with 40; conv3's 114 to 128, 146 to 160 and 139 to 156.
const AHEAD: usize = 24;

/// Computes ROWS rows of VECTORS registers. NEXT: rows are adjacent in `a`; otherwise the innermost terms are.
///
/// `sums` must only be accessed by loops small enough to be unrolled for 14 rows: otherwise it needs an address, and then all 28
/// registers go to memory and back for each term. Floor and mask are therefore applied to the totals in memory.
///
/// # Safety
/// See [`Kernel`](super::Kernel). It must be inlined into a function that has the features of `V` and `T`.
#[inline(always)]
pub(crate) unsafe fn tile<V: Vector, T: Terms<V>, const ROWS: usize, const VECTORS: usize, const NEXT: bool>(t: &Raw) {
    // SAFETY: all indices are those of the module's formula, in bounds by the caller's promise.
    unsafe {
        let mut room = MaybeUninit::<Totals>::uninit();
        let totals: *mut f32 = room.as_mut_ptr().cast();
        for m in 0..ROWS {
            for v in 0..VECTORS {
                V::load(t.start.add(m * t.start_row + v * V::WIDTH)).store(totals.add(m * PANEL + v * V::WIDTH));
            }
        }
        let mut sums = [[V::splat(0.0); VECTORS]; ROWS];
        let row = if NEXT { size_of::<f32>() } else { t.row };
        let step = if NEXT { t.steps[2] } else { size_of::<f32>() };
        let mut b = t.b;
        let (mut terms, mut left) = (0, t.counts[0] * t.counts[1] * t.counts[2]);
        for i in 0..t.counts[0] {
            for j in 0..t.counts[1] {
                let mut a = t.a.add(i * t.steps[0] + j * t.steps[1]);
                let mut inner = t.counts[2];
                while inner > 0 {
                    // No short remainder: conv1's rows of 33 values, or 48 channels, are one run.
                    let run = if inner <= T::BLOCK + T::BLOCK / 2 { inner } else { T::BLOCK };
                    if T::OWN_LOOP {
                        sums = T::run::<ROWS, VECTORS, NEXT>(Run { a, row, step, b, terms: run }, sums);
                        a = a.wrapping_add(run * step);
                        b = b.wrapping_add(run * PANEL);
                    } else {
                        for _ in 0..run {
                            let mut lanes = [V::splat(0.0); VECTORS];
                            for (v, lanes) in lanes.iter_mut().enumerate() {
                                *lanes = V::load(b.add(v * V::WIDTH));
                            }
                            for (m, sums) in sums.iter_mut().enumerate() {
                                let value = V::splat(a.add(m * row).cast::<f32>().read_unaligned());
                                for (sum, lanes) in sums.iter_mut().zip(lanes) {
                                    *sum = T::dot(value, lanes, *sum);
                                }
                            }
                            prefetch(b.wrapping_add(AHEAD * PANEL), VECTORS * V::WIDTH);
                            a = a.wrapping_add(step);
                            b = b.wrapping_add(PANEL);
                        }
                    }
                    inner -= run;
                    left -= run;
                    terms += run;
                    if terms >= T::BLOCK || left == 0 {
                        terms = 0;
                        for (m, sums) in sums.iter_mut().enumerate() {
                            for (v, sum) in sums.iter_mut().enumerate() {
                                let total = totals.add(m * PANEL + v * V::WIDTH);
                                T::add(*sum, V::load(total)).store(total);
                                *sum = V::splat(0.0);
                            }
                        }
                    }
                }
            }
        }
        let floor = V::splat(t.floor);
        for m in 0..ROWS {
            for v in 0..VECTORS {
                let mut total = V::load(totals.add(m * PANEL + v * V::WIDTH));
                if T::FLOATS {
                    total = total.at_least(floor);
                    if !t.mask.is_null() {
                        total = total.where_positive(V::load(t.mask.add(m * t.mask_row + v * V::WIDTH)));
                    }
                }
                total.store(t.y.add(m * t.y_row + v * V::WIDTH));
            }
        }
    }
}

/// Aligned to a cache line, so that no register straddles two.
#[repr(align(64))]
#[allow(dead_code)] // accessed by address
struct Totals([f32; MAX_ROWS * PANEL]);

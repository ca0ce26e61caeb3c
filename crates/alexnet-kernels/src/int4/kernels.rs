//! Inner loop over a panel's groups, generic over the registers.
//!
//! ```text
//!                     32 outputs
//! nibbles   ->  low   [ x 0..4  ]                    each x a word of four inputs, broadcast
//!           ->  high  [ x 4..8  ]  + the same of the other three times 8 inputs = 8 products in one register of integers
//! scales        [ bf16 ] x that, as a float, is added to the totals
//! ```

use super::{GROUP, NIBBLES, WORDS};
use crate::simd::Vector;
use crate::weight_layout::PANEL;

/// Inputs of some images, padded with zeros to whole groups.
#[derive(Clone, Copy)]
pub(crate) struct Inputs<'a> {
    /// Four bytes per word: [image][group][8].
    pub(crate) words: &'a [u32],
    /// Initial value of a group's sum, -8 times the sum of its inputs: [image][group].
    pub(crate) starts: &'a [i32],
    pub(crate) groups: usize,
}

/// Computes the totals of a panel for some images, [image][32].
///
/// # Safety
/// The CPU supports the kernel's instruction set; there are words and starts for as many images as the kernel processes, a
/// panel's words for the groups, and as many totals.
pub(crate) type Kernel = unsafe fn(Inputs<'_>, &[u32], &mut [f32]);

/// Extraction and multiplication of nibbles in a register.
///
/// # Safety
/// All functions need a CPU with the register's instruction set, and must be inlined into a function that has its features.
pub(crate) trait Nibbles<V: Vector> {
    /// The low nibbles of all bytes.
    ///
    /// # Safety
    /// The trait's.
    unsafe fn low(v: V) -> V;
    /// The high nibbles of all bytes.
    ///
    /// # Safety
    /// The trait's.
    unsafe fn high(v: V) -> V;
    /// Integers `sum`, each with the products of four bytes of `x` and four nibbles of `q` added.
    ///
    /// # Safety
    /// The trait's.
    unsafe fn dot(x: V, q: V, sum: V) -> V;
}

/// Processes N images, a panel in VECTORS registers.
///
/// # Safety
/// See [`Kernel`]. It must be inlined into a function that has the features of `V` and `T`.
#[inline(always)]
pub(crate) unsafe fn body<V: Vector, T: Nibbles<V>, const N: usize, const VECTORS: usize>(
    x: Inputs<'_>,
    w: &[u32],
    totals: &mut [f32],
) {
    assert_eq!(VECTORS * V::WIDTH, PANEL);
    assert!(x.words.len() == N * x.groups * GROUP / 4 && x.starts.len() == N * x.groups);
    assert!(w.len() == x.groups * WORDS && totals.len() == N * PANEL);
    // SAFETY: all places are within the slices, whose lengths are asserted above.
    unsafe {
        let mut sums = [[V::splat(0.0); VECTORS]; N];
        let mut w: *const f32 = w.as_ptr().cast();
        for group in 0..x.groups {
            let mut integers = [[V::splat(0.0); VECTORS]; N];
            for (n, integers) in integers.iter_mut().enumerate() {
                *integers = [V::splat(f32::from_bits(x.starts.get_unchecked(n * x.groups + group).cast_unsigned())); VECTORS];
            }
            for j in 0..GROUP / 8 {
                let mut low = [V::splat(0.0); VECTORS];
                let mut high = low;
                for v in 0..VECTORS {
                    let both = V::load(w.add(j * PANEL + v * V::WIDTH));
                    (low[v], high[v]) = (T::low(both), T::high(both));
                }
                for (n, integers) in integers.iter_mut().enumerate() {
                    let at = (n * x.groups + group) * (GROUP / 4) + 2 * j;
                    let first = V::splat(f32::from_bits(*x.words.get_unchecked(at)));
                    let last = V::splat(f32::from_bits(*x.words.get_unchecked(at + 1)));
                    for v in 0..VECTORS {
                        integers[v] = T::dot(last, high[v], T::dot(first, low[v], integers[v]));
                    }
                }
            }
            let half = VECTORS / 2;
            for v in 0..half {
                let scales = V::load(w.add(NIBBLES + v * V::WIDTH));
                let (low, high) = (scales.low_halves(), scales.high_halves());
                for (sums, integers) in sums.iter_mut().zip(integers) {
                    sums[v] = integers[v].of_integers().mul_add(low, sums[v]);
                    sums[half + v] = integers[half + v].of_integers().mul_add(high, sums[half + v]);
                }
            }
            w = w.add(WORDS);
        }
        for (sums, totals) in sums.iter().zip(totals.chunks_exact_mut(PANEL)) {
            for (v, sum) in sums.iter().enumerate() {
                sum.store(totals.as_mut_ptr().add(v * V::WIDTH));
            }
        }
    }
}

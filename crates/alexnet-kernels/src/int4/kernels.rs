//! Inner loop over a panel's groups, for each instruction set.
//!
//! ```text
//!                     32 outputs
//! nibbles   ->  low   [ x 0..4  ]                    each x a word of four inputs, broadcast
//!           ->  high  [ x 4..8  ]  + the same of the other three times 8 inputs = 8 products in one register of integers
//! scales        [ bf16 ] x that, as a float, is added to the totals
//! ```

#[cfg(target_arch = "x86_64")]
use super::unpack::{Eight, Sixteen};
use super::unpack::{Nibbles, Plain};
use super::{GROUP, NIBBLES, WORDS};
use crate::isa::Isa;
use crate::simd::{Four, Vector};
use crate::weight_layout::PANEL;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{__m256, __m512};

/// Inputs of some images, padded with zeros to whole groups.
#[derive(Clone, Copy)]
pub(super) struct Inputs<'a> {
    /// Four bytes per word: [image][group][8].
    pub(super) words: &'a [u32],
    /// Initial value of a group's sum, -8 times the sum of its inputs: [image][group].
    pub(super) starts: &'a [i32],
    pub(super) groups: usize,
}

/// Computes the totals of a panel for some images, [image][32].
///
/// # Safety
/// The CPU supports the kernel's instruction set; there are words and starts for as many images as the kernel processes, a
/// panel's words for the groups, and as many totals.
pub(super) type Kernel = unsafe fn(Inputs<'_>, &[u32], &mut [f32]);

/// By number of images - 1.
pub(super) fn kernels(isa: Isa) -> &'static [Kernel] {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 if is_x86_feature_detected!("avx512vnni") => &[vnni::<1>, vnni::<2>, vnni::<3>, vnni::<4>],
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => PLAIN_AVX512,
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => &[avx2::<1>],
        _ => &[portable::<1>],
    }
}

/// Kernels for a CPU without `vpdpbusd`.
#[cfg(target_arch = "x86_64")]
pub(super) const PLAIN_AVX512: &[Kernel] = &[avx512::<1>, avx512::<2>, avx512::<3>, avx512::<4>];

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
unsafe fn vnni<const N: usize>(x: Inputs<'_>, w: &[u32], totals: &mut [f32]) {
    // SAFETY: the caller keeps `Kernel`'s conditions, and this function has the features.
    unsafe { body::<__m512, Sixteen<true>, N, 2>(x, w, totals) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")]
unsafe fn avx512<const N: usize>(x: Inputs<'_>, w: &[u32], totals: &mut [f32]) {
    // SAFETY: as above.
    unsafe { body::<__m512, Sixteen<false>, N, 2>(x, w, totals) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2<const N: usize>(x: Inputs<'_>, w: &[u32], totals: &mut [f32]) {
    // SAFETY: as above.
    unsafe { body::<__m256, Eight, N, 4>(x, w, totals) }
}

unsafe fn portable<const N: usize>(x: Inputs<'_>, w: &[u32], totals: &mut [f32]) {
    // SAFETY: as above; no features are needed.
    unsafe { body::<Four, Plain, N, 8>(x, w, totals) }
}

/// Processes N images, a panel in VECTORS registers.
///
/// # Safety
/// See [`Kernel`]. It must be inlined into a function that has the features of `V` and `T`.
#[inline(always)]
unsafe fn body<V: Vector, T: Nibbles<V>, const N: usize, const VECTORS: usize>(x: Inputs<'_>, w: &[u32], totals: &mut [f32]) {
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

//! Portable kernel of 4-bit layers.

use super::registers::Four;
use crate::int4::kernels::{Inputs, Kernel, Nibbles, body};

/// Plain Rust.
struct Plain;

/// Applies `f` to the bits of each word.
#[inline(always)]
fn words(v: Four, f: impl Fn(u32) -> u32) -> Four {
    Four(v.0.map(|word| f32::from_bits(f(word.to_bits()))))
}

impl Nibbles<Four> for Plain {
    #[inline(always)]
    unsafe fn low(v: Four) -> Four {
        words(v, |word| word & 0x0F0F_0F0F)
    }

    #[inline(always)]
    unsafe fn high(v: Four) -> Four {
        words(v, |word| word >> 4 & 0x0F0F_0F0F)
    }

    #[inline(always)]
    unsafe fn dot(x: Four, q: Four, sum: Four) -> Four {
        Four(std::array::from_fn(|i| {
            let products = x.0[i].to_bits().to_le_bytes().into_iter().zip(q.0[i].to_bits().to_le_bytes());
            let products: u32 = products.map(|(x, q)| u32::from(x) * u32::from(q)).sum();
            f32::from_bits(sum.0[i].to_bits().wrapping_add(products))
        }))
    }
}

/// By number of images - 1.
pub(super) fn kernels() -> &'static [Kernel] {
    &[kernel::<1>]
}

unsafe fn kernel<const N: usize>(x: Inputs<'_>, w: &[u32], totals: &mut [f32]) {
    // SAFETY: the caller keeps `Kernel`'s conditions; no features are needed.
    unsafe { body::<Four, Plain, N, 8>(x, w, totals) }
}

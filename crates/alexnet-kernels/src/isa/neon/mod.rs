//! AArch64 with NEON: 4 floats per register, 32 registers.
//!
//! Three sets share the registers and all kernels of floats. They differ in the products of shorter values:
//!
//! ```text
//! neon          every AArch64 processor           bf16 and bytes are widened
//! neon-dotprod  Armv8.2 and later, Apple M1       four bytes by `sdot` and `udot`
//! neon-i8mm     Armv8.6 and later, Graviton 3     four bytes by `usdot`, two bf16 by `bfdot`
//! ```

mod gemm;
mod gemv;
mod int4;
mod peak;
mod products;
mod registers;

use std::arch::{aarch64::float32x4_t, is_aarch64_feature_detected as has};

use super::{Isa, Kernels};
use crate::simd::Vectorized;

pub(super) static KERNELS: Kernels = Kernels {
    isa: Isa::Neon,
    name: "neon",
    is_supported: || has!("neon"),
    gemm_floats: gemm::floats,
    gemm_bf16: gemm::bf16_widened,
    gemm_bytes: gemm::bytes_widened,
    gemv: gemv::KERNELS,
    int4: int4::widened,
    peak: peak::plain,
};

/// With `sdot` and `udot`.
pub(super) static DOTPROD: Kernels = Kernels {
    isa: Isa::NeonDotprod,
    name: "neon-dotprod",
    is_supported: || has!("neon") && has!("dotprod"),
    gemm_bytes: gemm::bytes_dotprod,
    int4: int4::dotprod,
    peak: peak::dotprod,
    ..KERNELS
};

/// With `usdot` and `bfdot` too. Both belong to Armv8.6, and no processor is known that has one of them alone.
pub(super) static I8MM: Kernels = Kernels {
    isa: Isa::NeonI8mm,
    name: "neon-i8mm",
    is_supported: || has!("neon") && has!("dotprod") && has!("i8mm") && has!("bf16"),
    gemm_bf16: gemm::bf16,
    gemm_bytes: gemm::bytes_i8mm,
    peak: peak::i8mm,
    ..DOTPROD
};

/// Runs `work` compiled for these features.
#[target_feature(enable = "neon")]
pub(super) fn with_features<T>(work: impl FnOnce() -> T) -> T {
    work()
}

/// Runs `work` with these registers.
///
/// # Safety
/// As [`dispatch`](super::dispatch), on a processor with these features.
#[target_feature(enable = "neon")]
pub(super) unsafe fn with_registers(work: impl Vectorized) {
    // SAFETY: the caller's promise.
    unsafe { work.run::<float32x4_t>() }
}

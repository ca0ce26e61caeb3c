//! Plain Rust, vectorised by the compiler for the build target: 4 floats per register.

mod gemm;
mod gemv;
mod int4;
mod peak;
mod registers;

use super::{Isa, Kernels};
use crate::simd::Vectorized;
use registers::Four;

pub(super) static KERNELS: Kernels = Kernels {
    isa: Isa::Portable,
    name: "portable",
    is_supported: || true,
    gemm_floats: gemm::floats,
    gemm_bf16: gemm::bf16,
    gemm_bytes: gemm::bytes,
    gemv: gemv::KERNELS,
    int4: int4::kernels,
    peak: peak::peak,
};

/// Runs `work` compiled for the build target.
#[inline(always)]
pub(super) fn with_features<T>(work: impl FnOnce() -> T) -> T {
    work()
}

/// Runs `work` with these registers.
///
/// # Safety
/// As [`dispatch`](super::dispatch).
#[inline(always)]
pub(super) unsafe fn with_registers(work: impl Vectorized) {
    // SAFETY: the caller's promise; no features are needed.
    unsafe { work.run::<Four>() }
}

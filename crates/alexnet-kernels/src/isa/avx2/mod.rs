//! x86-64 with AVX2 and FMA: 8 floats per register. BMI, which every such processor has, is for decoders of bits.

mod gemm;
mod gemv;
mod int4;
mod peak;
mod registers;

use std::arch::{is_x86_feature_detected as has, x86_64::__m256};

use super::{Isa, Kernels};
use crate::simd::Vectorized;

pub(super) static KERNELS: Kernels = Kernels {
    isa: Isa::Avx2,
    name: "avx2",
    is_supported: || has!("avx2") && has!("fma") && has!("bmi1") && has!("bmi2"),
    gemm_floats: gemm::floats,
    gemm_bf16: gemm::bf16,
    gemm_bytes: gemm::bytes,
    gemv: gemv::KERNELS,
    int4: int4::kernels,
    peak: peak::peak,
};

/// Runs `work` compiled for these features.
#[target_feature(enable = "avx2,fma,bmi1,bmi2")]
pub(super) fn with_features<T>(work: impl FnOnce() -> T) -> T {
    work()
}

/// Runs `work` with these registers.
///
/// # Safety
/// As [`dispatch`](super::dispatch), on a processor with these features.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn with_registers(work: impl Vectorized) {
    // SAFETY: the caller's promise.
    unsafe { work.run::<__m256>() }
}

//! x86-64 with AVX-512 F, BW, DQ and VL: 16 floats per register.
//!
//! Kernels with BF16 or VNNI instructions are chosen where the processor has them.

pub(crate) mod gemm;
mod gemv;
pub(crate) mod int4;
mod peak;
mod registers;

use std::arch::{is_x86_feature_detected as has, x86_64::__m512};

use super::{Isa, Kernels, avx2};
use crate::simd::Vectorized;

pub(super) static KERNELS: Kernels = Kernels {
    isa: Isa::Avx512,
    name: "avx512",
    is_supported: || {
        (avx2::KERNELS.is_supported)() && has!("avx512f") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl")
    },
    gemm_floats: gemm::floats,
    gemm_bf16: gemm::bf16,
    gemm_bytes: gemm::bytes,
    gemv: gemv::KERNELS,
    int4: int4::kernels,
    peak: peak::peak,
};

/// Runs `work` compiled for these features.
#[target_feature(enable = "avx2,fma,bmi1,bmi2,avx512f,avx512bw,avx512dq,avx512vl")]
pub(super) fn with_features<T>(work: impl FnOnce() -> T) -> T {
    work()
}

/// Runs `work` with these registers.
///
/// # Safety
/// As [`dispatch`](super::dispatch), on a processor with these features.
#[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")]
pub(super) unsafe fn with_registers(work: impl Vectorized) {
    // SAFETY: the caller's promise.
    unsafe { work.run::<__m512>() }
}

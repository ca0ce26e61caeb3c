//! Instruction sets, selected at run time.
//!
//! A set is a folder with its registers and the kernels that differ from set to set, listed in `ALL`. Everything else is generic
//! over the registers (`simd::Vector`) and stays with its operator.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) mod avx512;
mod features;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;

pub use features::features;

use crate::roofline::{Factors, Spin};
use crate::simd::Vectorized;
use crate::{gemm, int4, linear};

/// Instruction set supported by the kernels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Isa {
    /// Plain Rust, vectorised by the compiler for the build target: runs everywhere.
    Portable,
    /// x86-64 with AVX2 and FMA: 8 floats per register.
    Avx2,
    /// x86-64 with AVX-512 F, BW, DQ and VL: 16 floats per register.
    Avx512,
    /// AArch64 with NEON: 4 floats per register.
    Neon,
    /// NEON with products of four bytes (`dotprod`): Armv8.2 and later.
    NeonDotprod,
    /// NEON with mixed products of four bytes and those of two bf16 (`i8mm`, `bf16`): Armv8.6 and later.
    NeonI8mm,
}

/// The sets of this architecture, the best first.
static ALL: &[&Kernels] = &[
    #[cfg(target_arch = "x86_64")]
    &avx512::KERNELS,
    #[cfg(target_arch = "x86_64")]
    &avx2::KERNELS,
    #[cfg(target_arch = "aarch64")]
    &neon::I8MM,
    #[cfg(target_arch = "aarch64")]
    &neon::DOTPROD,
    #[cfg(target_arch = "aarch64")]
    &neon::KERNELS,
    &portable::KERNELS,
];

/// An instruction set's detection and kernels.
pub(crate) struct Kernels {
    isa: Isa,
    /// Value of `ALEXNET_ISA`.
    name: &'static str,
    /// Whether this CPU supports the set.
    is_supported: fn() -> bool,
    /// Matrix products of floats, for up to this many lanes.
    pub(crate) gemm_floats: fn(usize) -> gemm::Kernels,
    /// Matrix products of bf16.
    pub(crate) gemm_bf16: fn(usize) -> gemm::Kernels,
    /// Matrix products of bytes.
    pub(crate) gemm_bytes: fn(usize) -> gemm::Kernels,
    /// Products of a few images with weights in file order.
    pub(crate) gemv: linear::gemv::Kernels,
    /// Products with 4-bit weights, by number of images - 1.
    pub(crate) int4: fn() -> &'static [int4::kernels::Kernel],
    /// Measurement of the peak.
    pub(crate) peak: fn(Factors) -> Spin,
}

impl Isa {
    /// Detects the best instruction set of this CPU.
    pub fn detect() -> Self {
        ALL.iter().find(|set| (set.is_supported)()).map_or(Isa::Portable, |set| set.isa)
    }

    /// Reads the environment variable `ALEXNET_ISA`, a set's name in upper or lower case; by default the best set.
    ///
    /// # Errors
    /// The name is unknown, or this CPU lacks the set.
    pub fn from_env() -> Result<Self, String> {
        match std::env::var("ALEXNET_ISA") {
            Ok(name) if !name.is_empty() => Self::from_name(&name).map_err(|reason| format!("ALEXNET_ISA={name}: {reason}")),
            _ => Ok(Self::detect()),
        }
    }

    /// The set of a name in upper or lower case, or why this CPU cannot use it.
    fn from_name(name: &str) -> Result<Self, String> {
        let Some(set) = ALL.iter().find(|set| set.name.eq_ignore_ascii_case(name)) else {
            let names = ALL.iter().map(|set| set.name).collect::<Vec<_>>().join(", ");
            // The last comma becomes "or".
            let names = names.rsplit_once(", ").map_or(names.clone(), |(others, last)| format!("{others} or {last}"));
            return Err(format!("unknown; use {names}"));
        };
        if (set.is_supported)() { Ok(set.isa) } else { Err(format!("this processor has no {}", set.isa)) }
    }

    /// Whether this CPU supports the set.
    pub fn is_supported(self) -> bool {
        self.registered().is_some_and(|set| (set.is_supported)())
    }

    /// All sets that this CPU supports, for tests.
    pub fn all_supported() -> impl Iterator<Item = Isa> {
        ALL.iter().rev().filter(|set| (set.is_supported)()).map(|set| set.isa)
    }

    /// The kernels of the set; the portable ones for a set of another architecture.
    pub(crate) fn kernels(self) -> &'static Kernels {
        self.registered().unwrap_or(&portable::KERNELS)
    }

    /// The set's table, if it is one of this architecture. A match, not a search: it is asked for each tile of a product.
    #[inline]
    fn registered(self) -> Option<&'static Kernels> {
        match self {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => Some(&avx512::KERNELS),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => Some(&avx2::KERNELS),
            #[cfg(target_arch = "aarch64")]
            Isa::NeonI8mm => Some(&neon::I8MM),
            #[cfg(target_arch = "aarch64")]
            Isa::NeonDotprod => Some(&neon::DOTPROD),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => Some(&neon::KERNELS),
            Isa::Portable => Some(&portable::KERNELS),
            #[allow(unreachable_patterns)] // A set of another architecture.
            _ => None,
        }
    }

    /// Runs `work` in a function compiled for this instruction set, so that its plain loops are vectorised for it.
    ///
    /// Only inlined code is vectorised: mark the closure and the functions that it calls `#[inline(always)]`. A large closure
    /// without the attribute stays a separate function, compiled for any CPU. Rust never fuses `a * b + c`, so the bits equal
    /// those of the portable code.
    ///
    /// # Panics
    /// When this processor lacks the instruction set.
    #[inline]
    pub fn vectorize<T>(self, work: impl FnOnce() -> T) -> T {
        assert!(self.is_supported(), "this processor has no {self}");
        match self {
            // SAFETY: the assertion above makes sure that the processor has the features.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => unsafe { avx512::with_features(work) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => unsafe { avx2::with_features(work) },
            // SAFETY: as above.
            #[cfg(target_arch = "aarch64")]
            Isa::NeonI8mm | Isa::NeonDotprod | Isa::Neon => unsafe { neon::with_features(work) },
            Isa::Portable => portable::with_features(work),
            #[allow(unreachable_patterns)] // A set of another architecture.
            _ => unreachable!("{self} is not supported"),
        }
    }
}

/// Runs `work` with the registers of an instruction set.
///
/// # Safety
/// The struct's own requirements.
///
/// # Panics
/// When this processor lacks the instruction set.
pub(crate) unsafe fn dispatch(isa: Isa, work: impl Vectorized) {
    assert!(isa.is_supported(), "this processor has no {isa}");
    // SAFETY: the assertion makes sure of the features; the rest is the caller's promise.
    unsafe {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => avx512::with_registers(work),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => avx2::with_registers(work),
            #[cfg(target_arch = "aarch64")]
            Isa::NeonI8mm | Isa::NeonDotprod | Isa::Neon => neon::with_registers(work),
            Isa::Portable => portable::with_registers(work),
            #[allow(unreachable_patterns)] // A set of another architecture.
            _ => unreachable!("{isa} is not supported"),
        }
    }
}

impl std::fmt::Display for Isa {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.registered() {
            Some(set) => f.write_str(set.name),
            // A set of another architecture.
            None => std::fmt::Debug::fmt(self, f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_found_by_name() {
        for isa in Isa::all_supported() {
            assert_eq!(Isa::from_name(&isa.to_string().to_uppercase()), Ok(isa));
        }
        assert!(Isa::detect().is_supported());
        assert_eq!(Isa::all_supported().next(), Some(Isa::Portable));
        assert_eq!(Isa::all_supported().last(), Some(Isa::detect()));
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        let error = Isa::from_name("sse9").expect_err("no such set");
        assert!(error.starts_with("unknown; use ") && error.ends_with("portable"), "{error}");
        assert!(ALL.iter().all(|set| error.contains(set.name)), "{error}");
    }
}

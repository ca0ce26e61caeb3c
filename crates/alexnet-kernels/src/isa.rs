//! Which instruction set the kernels use, chosen at run time.

/// An instruction set that kernels are written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Isa {
    /// Plain Rust, vectorised by the compiler for the build's own target: runs everywhere.
    Portable,
    /// x86-64 with AVX2 and FMA: 8 floats a register.
    Avx2,
    /// x86-64 with AVX-512 F, BW, DQ and VL: 16 floats a register.
    Avx512,
}

impl Isa {
    /// The best instruction set that this processor has.
    pub fn detect() -> Self {
        [Isa::Avx512, Isa::Avx2].into_iter().find(|isa| isa.is_supported()).unwrap_or(Isa::Portable)
    }

    /// The set named by the environment variable `ALEXNET_ISA` (`avx512`, `avx2` or `portable`), else the best one.
    ///
    /// # Errors
    /// A name that is unknown, or a set that this processor lacks.
    pub fn from_env() -> Result<Self, String> {
        let Ok(name) = std::env::var("ALEXNET_ISA") else { return Ok(Self::detect()) };
        let isa = match name.to_ascii_lowercase().as_str() {
            "" => return Ok(Self::detect()),
            "portable" => Isa::Portable,
            "avx2" => Isa::Avx2,
            "avx512" => Isa::Avx512,
            _ => return Err(format!("ALEXNET_ISA={name}: unknown; use avx512, avx2 or portable")),
        };
        if isa.is_supported() { Ok(isa) } else { Err(format!("ALEXNET_ISA={name}: this processor has no {isa}")) }
    }

    /// Whether this processor can run it.
    pub fn is_supported(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::is_x86_feature_detected as has;
            let avx2 = has!("avx2") && has!("fma");
            match self {
                Isa::Portable => true,
                Isa::Avx2 => avx2,
                Isa::Avx512 => avx2 && has!("avx512f") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl"),
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            self == Isa::Portable
        }
    }

    /// Runs `work` in a function compiled for this instruction set, so that its plain loops are vectorised for it.
    ///
    /// Only what is inlined is vectorised: mark the closure and the functions that it calls `#[inline(always)]`. A large closure
    /// without the attribute stays a function of its own, compiled for any processor. Rust never fuses `a * b + c`, so the bits
    /// are those of the portable code.
    ///
    /// # Panics
    /// When this processor lacks the instruction set.
    #[inline]
    pub fn vectorize<T>(self, work: impl FnOnce() -> T) -> T {
        assert!(self.is_supported(), "this processor has no {self}");
        match self {
            Isa::Portable => work(),
            // SAFETY: the assertion above makes sure that the processor has the features.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => unsafe { with_avx2(work) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => unsafe { with_avx512(work) },
            #[cfg(not(target_arch = "x86_64"))]
            Isa::Avx2 | Isa::Avx512 => unreachable!("not supported off x86-64"),
        }
    }

    /// Every set that this processor can run: tests walk over them.
    pub fn all_supported() -> impl Iterator<Item = Isa> {
        [Isa::Portable, Isa::Avx2, Isa::Avx512].into_iter().filter(|isa| isa.is_supported())
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn with_avx2<T>(work: impl FnOnce() -> T) -> T {
    work()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")]
fn with_avx512<T>(work: impl FnOnce() -> T) -> T {
    work()
}

impl std::fmt::Display for Isa {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Isa::Portable => "portable",
            Isa::Avx2 => "avx2",
            Isa::Avx512 => "avx512",
        })
    }
}

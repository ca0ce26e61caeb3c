//! Instruction set selection at run time.

/// Instruction set supported by the kernels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Isa {
    /// Plain Rust, vectorised by the compiler for the build target: runs everywhere.
    Portable,
    /// x86-64 with AVX2 and FMA: 8 floats per register.
    Avx2,
    /// x86-64 with AVX-512 F, BW, DQ and VL: 16 floats per register.
    Avx512,
}

impl Isa {
    /// Detects the best instruction set of this CPU.
    pub fn detect() -> Self {
        [Isa::Avx512, Isa::Avx2].into_iter().find(|isa| isa.is_supported()).unwrap_or(Isa::Portable)
    }

    /// Reads the environment variable `ALEXNET_ISA` (`avx512`, `avx2` or `portable`); by default the best set.
    ///
    /// # Errors
    /// The name is unknown, or this CPU lacks the set.
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

    /// Whether this CPU supports the set.
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

    /// All sets that this CPU supports, for tests.
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

//! What every operator needs to know of the machine.

use crate::executor::{Executor, Serial};
use crate::isa::Isa;

/// The instruction set to use, and who runs the tasks.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The instruction set; it must be supported by this processor ([`Isa::is_supported`]).
    pub isa: Isa,
    /// Who runs the tasks.
    pub threads: &'a dyn Executor,
    /// Which algorithms convolutions may use.
    pub convolutions: Convolutions,
    /// What products are made of.
    pub factors: FactorType,
}

/// What the products of convolutions and linear layers are made of. Sums are always in single precision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FactorType {
    /// Single precision.
    #[default]
    F32,
    /// Factors rounded to bfloat16 where that is faster.
    Bf16,
}

/// Which algorithms convolutions may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Convolutions {
    /// The fastest for each shape.
    #[default]
    Fastest,
    /// Direct ones only: their rounding is that of other libraries.
    Direct,
    /// Winograd's wherever there is a transform, be it slower.
    Winograd,
}

impl Convolutions {
    /// Those named by the environment variable `ALEXNET_CONV` (`fastest`, `direct` or `winograd`), else the fastest.
    ///
    /// # Errors
    /// A name that is unknown.
    pub fn from_env() -> Result<Self, String> {
        match std::env::var("ALEXNET_CONV").as_deref() {
            Err(_) | Ok("") => Ok(Convolutions::Fastest),
            Ok(name) => name.parse().map_err(|error| format!("ALEXNET_CONV={error}")),
        }
    }
}

impl std::str::FromStr for Convolutions {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "fastest" => Ok(Convolutions::Fastest),
            "direct" => Ok(Convolutions::Direct),
            "winograd" => Ok(Convolutions::Winograd),
            _ => Err(format!("{name}: unknown; use fastest, direct or winograd")),
        }
    }
}

impl Context<'static> {
    /// One thread, with the given instruction set: for tests.
    pub fn serial(isa: Isa) -> Self {
        Context { isa, threads: &Serial, convolutions: Convolutions::Direct, factors: FactorType::F32 }
    }
}

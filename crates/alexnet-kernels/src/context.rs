//! Execution context of operators: instruction set, executor and algorithms.

use crate::executor::{Executor, Serial};
use crate::isa::Isa;

/// Execution context of an operator.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// Instruction set, supported by this CPU ([`Isa::is_supported`]).
    pub isa: Isa,
    /// Executor of tasks.
    pub threads: &'a dyn Executor,
    /// Permitted convolution algorithms.
    pub convolutions: Convolutions,
    /// Precision of products.
    pub factors: FactorType,
}

/// Precision of the products in convolutions and linear layers. Sums are always in single precision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FactorType {
    /// Single precision.
    #[default]
    F32,
    /// Operands rounded to bfloat16 where that is faster.
    Bf16,
}

/// Permitted convolution algorithms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Convolutions {
    /// The fastest for each shape.
    #[default]
    Fastest,
    /// Direct only, with the rounding of other libraries.
    Direct,
    /// Winograd wherever a transform exists, even if slower.
    Winograd,
}

impl Convolutions {
    /// Reads the environment variable `ALEXNET_CONV` (`fastest`, `direct` or `winograd`); by default the fastest.
    ///
    /// # Errors
    /// The name is unknown.
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
    /// Single-threaded context with the given instruction set, for tests.
    pub fn serial(isa: Isa) -> Self {
        Context { isa, threads: &Serial, convolutions: Convolutions::Direct, factors: FactorType::F32 }
    }
}

//! What products are made of.

use alexnet_kernels::context;

use crate::Error;

/// What the products of convolutions and linear layers are made of. Weights, and all sums, are kept in single precision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// Single precision.
    #[default]
    F32,
    /// Factors rounded to bfloat16, 8 bits of precision.
    Bf16,
    /// Bytes, for inference only: see [`Cpu::calibrate`](super::Cpu::calibrate).
    Int8,
    /// As [`Int8`](Precision::Int8), with weights of 4 bits in linear layers: for few pictures at a time.
    Int4,
}

impl Precision {
    /// Whether maps are bytes, so that there is nothing but inference.
    pub fn is_of_bytes(self) -> bool {
        matches!(self, Precision::Int8 | Precision::Int4)
    }

    /// Fails where nothing can be learned.
    pub(super) fn check_trains(self) -> crate::Result<()> {
        if self.is_of_bytes() {
            return Err(Error::Invalid(format!("{self} is for inference; train in f32 or bf16")));
        }
        Ok(())
    }

    /// That of the kernels which compute on floats.
    pub(super) fn of_floats(self) -> context::Precision {
        match self {
            Precision::F32 | Precision::Int8 | Precision::Int4 => context::Precision::F32,
            Precision::Bf16 => context::Precision::Bf16,
        }
    }
}

impl std::str::FromStr for Precision {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "f32" => Ok(Precision::F32),
            "bf16" => Ok(Precision::Bf16),
            "int8" => Ok(Precision::Int8),
            "int4" => Ok(Precision::Int4),
            _ => Err("unknown; use f32, bf16, int8 or int4".into()),
        }
    }
}

impl std::fmt::Display for Precision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Precision::F32 => "f32",
            Precision::Bf16 => "bf16",
            Precision::Int8 => "int8",
            Precision::Int4 => "int4",
        })
    }
}

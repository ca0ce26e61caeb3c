//! What products are made of: one type for every engine.

use crate::Error;

/// What the products of convolutions and linear layers are made of. Weights, and all sums, are kept in single precision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// Single precision.
    #[default]
    F32,
    /// Factors rounded to bfloat16, 8 bits of precision.
    Bf16,
    /// Factors rounded to half precision, on devices only.
    F16,
    /// Bytes, for inference with a model of `alexnet quantize`, on the CPU only.
    Int8,
    /// As [`Int8`](Precision::Int8), with weights of 4 bits in linear layers: for few images at a time.
    Int4,
}

impl Precision {
    /// All of them.
    pub const ALL: [Precision; 5] = [Precision::F32, Precision::Bf16, Precision::F16, Precision::Int8, Precision::Int4];

    /// The name, as `--precision` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Precision::F32 => "f32",
            Precision::Bf16 => "bf16",
            Precision::F16 => "f16",
            Precision::Int8 => "int8",
            Precision::Int4 => "int4",
        }
    }

    /// Whether maps are bytes, so that there is nothing but inference.
    pub fn is_of_bytes(self) -> bool {
        matches!(self, Precision::Int8 | Precision::Int4)
    }

    /// Whether the CPU engine computes in it: no processor multiplies half precision fast.
    pub fn runs_on_cpu(self) -> bool {
        self != Precision::F16
    }

    /// Fails where nothing can be learned.
    ///
    /// # Errors
    /// A precision of bytes.
    pub(crate) fn check_trains(self) -> crate::Result<()> {
        if self.is_of_bytes() {
            return Err(Error::Invalid(format!("{self} is for inference; train in f32 or bf16")));
        }
        Ok(())
    }
}

impl std::str::FromStr for Precision {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = Precision::ALL.into_iter().find(|precision| precision.name() == name);
        known.ok_or_else(|| "unknown; use f32, bf16, f16, int8 or int4".into())
    }
}

impl std::fmt::Display for Precision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

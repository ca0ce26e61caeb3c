//! Precision of matrix products and convolutions, shared by every engine.

use crate::Error;

/// Factor type of convolutions and linear layers. Weights and all sums are kept in single precision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// Single precision.
    #[default]
    F32,
    /// Factors rounded to bfloat16 (8 bits of precision).
    Bf16,
    /// Factors rounded to half precision; GPU only.
    F16,
    /// 8-bit integers, for CPU inference with a model from `alexnet quantize`.
    Int8,
    /// As [`Int8`](Precision::Int8), with 4-bit weights in linear layers; for small batches.
    Int4,
}

impl Precision {
    /// All precisions.
    pub const ALL: [Precision; 5] = [Precision::F32, Precision::Bf16, Precision::F16, Precision::Int8, Precision::Int4];

    /// Name, as `--precision` accepts it.
    pub fn name(self) -> &'static str {
        match self {
            Precision::F32 => "f32",
            Precision::Bf16 => "bf16",
            Precision::F16 => "f16",
            Precision::Int8 => "int8",
            Precision::Int4 => "int4",
        }
    }

    /// Whether maps are int8, so that only inference is supported.
    pub fn is_of_bytes(self) -> bool {
        matches!(self, Precision::Int8 | Precision::Int4)
    }

    /// Whether the CPU engine supports it. f16 is not supported, because no processor multiplies half precision fast.
    pub fn runs_on_cpu(self) -> bool {
        self != Precision::F16
    }

    /// Rejects precisions that cannot train.
    ///
    /// # Errors
    /// An integer precision.
    pub(crate) fn check_trains(self) -> crate::Result<()> {
        if self.is_of_bytes() {
            return Err(Error::Invalid(format!("{self} supports only inference; train in f32 or bf16")));
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

//! `--precision`: number formats of inference and training, on any device.

use alexnet::engine::cpu::Precision;
use anyhow::bail;
use clap::ValueEnum;

/// Values of `--precision`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Arithmetic {
    /// Single precision
    #[default]
    F32,
    /// Operands rounded to bfloat16
    Bf16,
    /// Operands rounded to half precision, on devices only
    F16,
    /// 8-bit integers, for a model prepared by `alexnet quantize`
    Int8,
    /// As int8, with 4-bit weights in linear layers
    Int4,
}

impl Arithmetic {
    /// Parses the precision in a run's settings.
    pub(crate) fn by_name(name: &str) -> alexnet::Result<Arithmetic> {
        Arithmetic::from_str(name, false).map_err(|why| alexnet::Error::Invalid(format!("precision {name}: {why}")))
    }

    /// Whether activations are bytes, which limits the engine to inference.
    pub(crate) fn is_of_bytes(self) -> bool {
        matches!(self, Arithmetic::Int8 | Arithmetic::Int4)
    }

    /// The CPU engine's precision.
    pub(crate) fn on_processor(self) -> anyhow::Result<Precision> {
        Ok(match self {
            Arithmetic::F32 => Precision::F32,
            Arithmetic::Bf16 => Precision::Bf16,
            Arithmetic::F16 => bail!("--precision f16 needs a device (--device); on the CPU use bf16"),
            Arithmetic::Int8 => Precision::Int8,
            Arithmetic::Int4 => Precision::Int4,
        })
    }

    /// Precision of Burn's devices.
    #[cfg(feature = "gpu")]
    pub(crate) fn on_device(self) -> anyhow::Result<alexnet_burn::Precision> {
        Ok(match self {
            Arithmetic::F32 => alexnet_burn::Precision::F32,
            Arithmetic::Bf16 => alexnet_burn::Precision::Bf16,
            Arithmetic::F16 => alexnet_burn::Precision::F16,
            bytes => bail!("--precision {bytes} runs on the CPU only; use f32, bf16 or f16, or omit --device"),
        })
    }
}

impl std::fmt::Display for Arithmetic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.to_possible_value().as_ref().map_or("", |value| value.get_name()))
    }
}

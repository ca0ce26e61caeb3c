//! What runs a network: the options that `train`, `eval` and `predict` share.

use alexnet::engine::cpu::{Cpu, Precision};
use alexnet::net::Net;
use alexnet::weights::Model;

/// Options about arithmetic and processor.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Machine {
    /// Arithmetic: f32, bf16, or int8 for a model of `alexnet quantize` [default: f32]
    #[arg(long, value_name = "KIND")]
    pub(crate) precision: Option<Precision>,
    /// What runs the network
    #[arg(long, default_value = "cpu", value_parser = ["cpu"])]
    pub(crate) device: String,
    /// Number of threads; it never changes a result [default: one a core]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub(crate) threads: usize,
}

impl Machine {
    /// An engine with all parameters zero.
    pub(crate) fn engine(&self, net: &Net, batch: usize) -> anyhow::Result<Cpu> {
        Ok(Cpu::new(net, batch, self.threads)?.with_precision(self.precision.unwrap_or_default()))
    }

    /// An engine with a model's parameters, which are taken out of the model: 240 MB need not lie about twice.
    pub(crate) fn engine_of(&self, model: &mut Model, batch: usize) -> anyhow::Result<Cpu> {
        self.fill(self.engine(&model.net, batch)?, model)
    }

    /// An engine with a model's parameters, likewise.
    pub(crate) fn fill(&self, mut engine: Cpu, model: &mut Model) -> anyhow::Result<Cpu> {
        model.load_into(&mut engine)?;
        engine.set_ranges(std::mem::take(&mut model.ranges));
        model.tensors.clear();
        Ok(engine)
    }
}

/// How many crops of a picture the network sees.
pub(crate) fn crops(text: &str) -> Result<usize, String> {
    match text {
        "1" => Ok(1),
        "10" => Ok(10),
        _ => Err("1 (the centre) or 10 (the paper's corners and centre, mirrored)".into()),
    }
}

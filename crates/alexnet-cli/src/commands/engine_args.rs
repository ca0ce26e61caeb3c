//! Engine selection options shared by all commands that run a network.

use crate::numbers;
use alexnet::distributed::data_parallel::DataParallel;
use alexnet::distributed::{Communicator, Partition};
use alexnet::engine::cpu::Cpu;
use alexnet::engine::{Engine, Precision, Training};
use alexnet::formats::Model;
use alexnet::image::crop::Crops;
use alexnet::net::Net;
use anyhow::bail;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use std::sync::Arc;

/// Help text of `--device`.
const DEVICE_HELP: &str = if cfg!(feature = "gpu") {
    "Device: cpu, or one listed by `alexnet devices`; two, separated by a comma, each hold half of a two-group net [default: cpu]"
} else {
    "Device; this build supports cpu only, others need cargo build --release --features gpu,cuda (or rocm, vulkan, metal, webgpu) [default: cpu]"
};

/// Options for precision, threads and device.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct EngineArgs {
    /// Precision: f32, bf16, f16 (on devices only), or int8 and int4 for a model prepared by `alexnet quantize` [default: f32]
    #[arg(long, value_name = "KIND", value_parser = precisions(), hide_possible_values = true)]
    pub(crate) precision: Option<Precision>,
    #[arg(long, value_name = "DEVICE", help = DEVICE_HELP)]
    pub(crate) device: Option<String>,
    /// Number of threads; does not affect results [default: one per core]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true, value_parser = numbers::threads)]
    pub(crate) threads: usize,
}

impl EngineArgs {
    /// Whether the built-in CPU engine is selected.
    pub(crate) fn is_cpu(&self) -> bool {
        self.device() == "cpu"
    }

    /// The device's name.
    pub(crate) fn device(&self) -> &str {
        self.device.as_deref().unwrap_or("cpu")
    }

    /// The selected precision.
    pub(crate) fn precision(&self) -> Precision {
        self.precision.unwrap_or_default()
    }

    /// Creates an engine with all parameters zero.
    pub(crate) fn engine(&self, net: &Net, batch: usize) -> anyhow::Result<Box<dyn Engine>> {
        if self.is_cpu() { Ok(Box::new(self.cpu(net, batch)?)) } else { Ok(Box::new(self.gpu(net, batch)?)) }
    }

    /// Creates an engine on a device, all parameters zero, that shares each batch with other ranks, partitioned by `cut`.
    pub(crate) fn shared(
        &self,
        net: &Net,
        batch: usize,
        ranks: Arc<dyn Communicator>,
        cut: Partition,
    ) -> anyhow::Result<Box<dyn Training>> {
        Ok(Box::new(DataParallel::new(self.gpu(net, batch)?, ranks, cut)))
    }

    /// Like [`Self::engine`], for one of several ranks: given a kind of device without a number, each rank takes its own device
    /// on its machine.
    pub(crate) fn of_rank(&self, ranks: &dyn Communicator) -> EngineArgs {
        let mut own = self.clone();
        if ranks.size() > 1 && !self.is_cpu() && !self.device().contains([':', ',']) {
            own.device = Some(format!("{}:{}", self.device(), alexnet_distributed::local_rank().unwrap_or(ranks.rank())));
        }
        own
    }

    /// Creates an engine with a model's parameters. They are moved out of the model, since 240 MB need not be held twice.
    pub(crate) fn engine_of(&self, model: &mut Model, batch: usize) -> anyhow::Result<Box<dyn Engine + Send>> {
        if self.is_cpu() { fill(self.cpu(&model.net, batch)?, model) } else { fill(self.gpu(&model.net, batch)?, model) }
    }

    /// Like [`Self::engine_of`]; on the CPU, the results of an image do not depend on the rest of the batch, to the last bit.
    pub(crate) fn steady_engine_of(&self, model: &mut Model, batch: usize) -> anyhow::Result<Box<dyn Engine + Send>> {
        match self.is_cpu() {
            true => fill(self.cpu(&model.net, batch)?.batch_invariant(), model),
            false => fill(self.gpu(&model.net, batch)?, model),
        }
    }

    /// Creates a CPU engine with all parameters zero, for operations that no other engine supports.
    pub(crate) fn cpu(&self, net: &Net, batch: usize) -> anyhow::Result<Cpu> {
        if !self.is_cpu() {
            bail!("--device {}: supported on the CPU only; omit --device", self.device());
        }
        Ok(Cpu::new(net, batch, self.threads)?.with_precision(self.precision())?)
    }

    #[cfg(feature = "gpu")]
    fn gpu(&self, net: &Net, batch: usize) -> anyhow::Result<alexnet_burn::Gpu> {
        // Print it once, for commands that create several engines.
        static DOUBTED: std::sync::Once = std::sync::Once::new();
        static WARNED: std::sync::Once = std::sync::Once::new();
        let devices = alexnet_burn::device::parse(self.device())?;
        if let Some(doubt) = devices.iter().find_map(alexnet_burn::device::doubt) {
            DOUBTED.call_once(|| crate::output::note(&format!("warning: {doubt}")));
        }
        let engine = alexnet_burn::Gpu::new(net, batch, devices, self.precision())?;
        if let Some(warning) = engine.warning() {
            WARNED.call_once(|| crate::output::note(&format!("warning: {warning}")));
        }
        Ok(engine)
    }

    #[cfg(not(feature = "gpu"))]
    fn gpu(&self, _: &Net, _: usize) -> anyhow::Result<Cpu> {
        bail!(
            "--device {}: this build supports the CPU only; rebuild with \
             cargo build --release --features gpu,cuda (or rocm, vulkan, metal, webgpu)",
            self.device()
        )
    }
}

/// Parser of `--precision`.
fn precisions() -> impl TypedValueParser<Value = Precision> {
    PossibleValuesParser::new(Precision::ALL.map(Precision::name)).try_map(|name| name.parse::<Precision>())
}

/// Moves a model's parameters into an engine.
fn fill(mut engine: impl Engine + Send + 'static, model: &mut Model) -> anyhow::Result<Box<dyn Engine + Send>> {
    alexnet::engine::load_model(model, &mut engine)?;
    model.tensors.clear();
    Ok(Box::new(engine))
}

/// Parses `--crops`.
pub(crate) fn crops(text: &str) -> Result<Crops, String> {
    let crops = text.parse().ok().and_then(Crops::of_count);
    crops.ok_or_else(|| "1 (the centre) or 10 (the paper's corners and centre, mirrored)".into())
}

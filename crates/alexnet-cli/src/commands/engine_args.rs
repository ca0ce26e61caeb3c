//! What runs a network: the options that all commands share which run one.

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

/// What `--help` says of `--device`.
const DEVICE_HELP: &str = if cfg!(feature = "gpu") {
    "What runs the network: cpu, or one of `alexnet devices`; two with a comma hold half of a net of two groups each [default: cpu]"
} else {
    "What runs the network; this build has cpu alone, others need cargo build --release --features gpu,cuda (or rocm, vulkan, metal, webgpu) [default: cpu]"
};

/// Options about arithmetic and processor.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct EngineArgs {
    /// Arithmetic: f32, bf16, f16 (on devices), or int8 and int4 for a model of `alexnet quantize` [default: f32]
    #[arg(long, value_name = "KIND", value_parser = precisions(), hide_possible_values = true)]
    pub(crate) precision: Option<Precision>,
    #[arg(long, value_name = "DEVICE", help = DEVICE_HELP)]
    pub(crate) device: Option<String>,
    /// Number of threads; it never changes a result [default: one a core]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true, value_parser = numbers::threads)]
    pub(crate) threads: usize,
}

impl EngineArgs {
    /// Whether this program's own engine on the processor runs it.
    pub(crate) fn is_cpu(&self) -> bool {
        self.device() == "cpu"
    }

    /// The device's name.
    pub(crate) fn device(&self) -> &str {
        self.device.as_deref().unwrap_or("cpu")
    }

    /// What products are made of.
    pub(crate) fn precision(&self) -> Precision {
        self.precision.unwrap_or_default()
    }

    /// An engine with all parameters zero.
    pub(crate) fn engine(&self, net: &Net, batch: usize) -> anyhow::Result<Box<dyn Engine>> {
        if self.is_cpu() { Ok(Box::new(self.cpu(net, batch)?)) } else { Ok(Box::new(self.gpu(net, batch)?)) }
    }

    /// An engine with all parameters zero that shares each batch with those of other ranks, cut like `cut`.
    pub(crate) fn shared(
        &self,
        net: &Net,
        batch: usize,
        ranks: Arc<dyn Communicator>,
        cut: Partition,
    ) -> anyhow::Result<Box<dyn Training>> {
        Ok(match self.is_cpu() {
            true => Box::new(DataParallel::new(self.cpu(net, batch)?, ranks, cut)),
            false => Box::new(DataParallel::new(self.gpu(net, batch)?, ranks, cut)),
        })
    }

    /// The same for one of several ranks: of a kind of device without a number, each takes one of its own on its machine.
    pub(crate) fn of_rank(&self, ranks: &dyn Communicator) -> EngineArgs {
        let mut own = self.clone();
        if ranks.size() > 1 && !self.is_cpu() && !self.device().contains([':', ',']) {
            own.device = Some(format!("{}:{}", self.device(), alexnet_distributed::local_rank().unwrap_or(ranks.rank())));
        }
        own
    }

    /// An engine with a model's parameters, which are taken out of the model: 240 MB need not lie about twice.
    pub(crate) fn engine_of(&self, model: &mut Model, batch: usize) -> anyhow::Result<Box<dyn Engine + Send>> {
        if self.is_cpu() { self.fill(self.cpu(&model.net, batch)?, model) } else { self.gpu_of(model, batch) }
    }

    /// The same; on the processor an image's answers have the same bits whatever images are beside it.
    pub(crate) fn steady_engine_of(&self, model: &mut Model, batch: usize) -> anyhow::Result<Box<dyn Engine + Send>> {
        if self.is_cpu() {
            return self.fill(self.cpu(&model.net, batch)?.batch_invariant(), model);
        }
        self.gpu_of(model, batch)
    }

    fn gpu_of(&self, model: &mut Model, batch: usize) -> anyhow::Result<Box<dyn Engine + Send>> {
        let mut engine = self.gpu(&model.net, batch)?;
        alexnet::engine::load_model(&model, &mut engine)?;
        model.tensors.clear();
        Ok(Box::new(engine))
    }

    /// The CPU engine with all parameters zero, for what no other engine can.
    pub(crate) fn cpu(&self, net: &Net, batch: usize) -> anyhow::Result<Cpu> {
        if !self.is_cpu() {
            bail!("--device {}: this works on the processor only; leave --device out", self.device());
        }
        Ok(Cpu::new(net, batch, self.threads)?.with_precision(self.precision())?)
    }

    fn fill(&self, mut engine: Cpu, model: &mut Model) -> anyhow::Result<Box<dyn Engine + Send>> {
        alexnet::engine::load_model(&model, &mut engine)?;
        engine.set_ranges(std::mem::take(&mut model.ranges));
        model.tensors.clear();
        Ok(Box::new(engine))
    }

    #[cfg(feature = "gpu")]
    fn gpu(&self, net: &Net, batch: usize) -> anyhow::Result<alexnet_burn::Gpu> {
        // Once, for commands that make many engines.
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
            "--device {}: this program was built for the processor alone; build it with \
             cargo build --release --features gpu,cuda (or rocm, vulkan, metal, webgpu)",
            self.device()
        )
    }
}

/// The names of `--precision`.
fn precisions() -> impl TypedValueParser<Value = Precision> {
    PossibleValuesParser::new(Precision::ALL.map(Precision::name)).try_map(|name| name.parse::<Precision>())
}

/// The crops of an image that the network sees.
pub(crate) fn crops(text: &str) -> Result<Crops, String> {
    let crops = text.parse().ok().and_then(Crops::of_count);
    crops.ok_or_else(|| "1 (the centre) or 10 (the paper's corners and centre, mirrored)".into())
}

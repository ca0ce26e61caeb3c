//! `--parallel` and `--device` of training: engines on the CPU, on devices, or shared among processes.

use crate::commands::engine_args::EngineArgs;
use alexnet::Error;
use alexnet::distributed::Parallel;
use alexnet::engine::{Precision, Training};
use alexnet::train::{CpuEngines, EngineRequest, Engines};
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

/// Values of `--parallel`.
pub(super) fn strategies() -> impl TypedValueParser<Value = Parallel> {
    let value = |strategy: Parallel| {
        PossibleValue::new(strategy.name()).help(match strategy {
            Parallel::Data => "Each process has all parameters and a part of each batch; gradients are summed",
            Parallel::Hybrid => "Data parallel convolutions; fully connected weights are sharded and never sent",
            Parallel::Towers => "Two processes, each with half of every layer for all images, as on the two GPUs of 2012",
        })
    };
    PossibleValuesParser::new(Parallel::ALL.map(value)).map(|name| Parallel::by_name(&name).unwrap_or_default())
}

/// Creates the engines of a run: the CPU engine, or Burn's on devices.
pub(super) struct AllEngines<'a>(pub(super) &'a EngineArgs);

impl Engines for AllEngines<'_> {
    /// Rejects a strategy that needs several processes if this build does not support them.
    fn check(&self, device: &str, parallel: Parallel) -> alexnet::Result<()> {
        let two_devices = parallel == Parallel::Towers && device.contains(',');
        if parallel != Parallel::Data && !two_devices && cfg!(not(any(feature = "mpi", feature = "nccl"))) {
            return Err(Error::Invalid(format!(
                "--parallel {parallel} shares the work among processes, which this build does not support; rebuild with \
                 cargo build --release --features mpi and start it with mpirun"
            )));
        }
        Ok(())
    }

    fn engine(&self, request: &EngineRequest<'_>) -> alexnet::Result<Box<dyn Training>> {
        let precision: Precision =
            request.precision.parse().map_err(|why| Error::Invalid(format!("--precision {}: {why}", request.precision)))?;
        if precision.is_of_bytes() {
            return Err(Error::Invalid(format!(
                "--precision {precision}: inference only; train in f32 or bf16, then run `alexnet quantize`"
            )));
        }
        let device = Some(request.device.to_string());
        let args = EngineArgs { precision: Some(precision), device, ..self.0.clone() }.of_rank(&**request.ranks);
        self.make(&args, request).map_err(|error| match error.downcast() {
            Ok(error) => error,
            Err(error) => Error::Invalid(format!("{error:#}")),
        })
    }
}

impl AllEngines<'_> {
    fn make(&self, args: &EngineArgs, request: &EngineRequest<'_>) -> anyhow::Result<Box<dyn Training>> {
        let EngineRequest { net, batch, ranks, partition, parallel, .. } = *request;
        if args.is_cpu() {
            return Ok(CpuEngines.engine(&EngineRequest { device: args.device(), ..*request })?);
        }
        let name = args.device();
        match parallel {
            Parallel::Hybrid => anyhow::bail!("--parallel hybrid supports --device cpu only"),
            Parallel::Towers if !name.contains(',') => {
                anyhow::bail!("--parallel towers on devices needs two of them: --device {name}:0,{name}:1")
            }
            _ if partition.blocks == 1 => Ok(args.engine(net, partition.capacity(batch))?),
            _ => args.shared(net, partition.capacity(batch), ranks.clone(), partition),
        }
    }
}

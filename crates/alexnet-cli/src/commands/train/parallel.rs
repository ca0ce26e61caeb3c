//! `--parallel` and `--device` of a training: engines on the CPU, on devices, or shared among processes.

use crate::commands::engine_args::EngineArgs;
use alexnet::Error;
use alexnet::distributed::Parallel;
use alexnet::engine::{Precision, Training};
use alexnet::train::{EngineRequest, Engines};
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

/// The ways of `--parallel`.
pub(super) fn ways() -> impl TypedValueParser<Value = Parallel> {
    let value = |way: Parallel| {
        PossibleValue::new(way.name()).help(match way {
            Parallel::Data => "Each has all parameters and a share of each batch; gradients are summed",
            Parallel::Hybrid => {
                "Convolutions likewise, but each holds a part of the fully connected layers' weights, which are never sent"
            }
            Parallel::Towers => "Two processes, each of which has half of every layer for all images: the two GPUs of 2012",
        })
    };
    PossibleValuesParser::new(Parallel::ALL.map(value)).map(|name| Parallel::by_name(&name).unwrap_or_default())
}

/// Makes the engines of a run: this program's own on the CPU, Burn's on devices.
pub(super) struct AllEngines<'a>(pub(super) &'a EngineArgs);

impl Engines for AllEngines<'_> {
    /// Refuses to share work among processes where this build cannot start any.
    fn check(&self, device: &str, parallel: Parallel) -> alexnet::Result<()> {
        let two_devices = parallel == Parallel::Towers && device.contains(',');
        if parallel != Parallel::Data && !two_devices && cfg!(not(any(feature = "mpi", feature = "nccl"))) {
            return Err(Error::Invalid(format!(
                "--parallel {parallel} shares the work among processes, which this program was built without: build it with \
                 cargo build --release --features mpi, and start it with mpirun"
            )));
        }
        Ok(())
    }

    fn engine(&self, request: &EngineRequest<'_>) -> alexnet::Result<Box<dyn Training>> {
        let precision: Precision =
            request.precision.parse().map_err(|why| Error::Invalid(format!("--precision {}: {why}", request.precision)))?;
        if precision.is_of_bytes() {
            return Err(Error::Invalid(format!(
                "--precision {precision}: that is for inference; train in f32 or bf16, then `alexnet quantize`"
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
        let EngineRequest { net, batch, threads, ranks, partition, parallel, .. } = *request;
        if args.is_cpu() {
            return Ok(parallel.cpu_engine(net, batch, args.precision(), threads, ranks, partition)?);
        }
        let name = args.device();
        match parallel {
            Parallel::Hybrid => anyhow::bail!("--parallel hybrid runs on --device cpu alone"),
            Parallel::Towers if !name.contains(',') => {
                anyhow::bail!("--parallel towers on devices needs two of them: --device {name}:0,{name}:1")
            }
            _ if partition.blocks == 1 => Ok(args.engine(net, partition.capacity(batch))?),
            _ => args.shared(net, partition.capacity(batch), ranks.clone(), partition),
        }
    }
}

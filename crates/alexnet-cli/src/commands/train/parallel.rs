//! One engine or its share in one that is spread over ranks.

use crate::commands::engine_args::EngineArgs;
use alexnet::distributed::hybrid::Hybrid;
use alexnet::distributed::towers::Towers;
use alexnet::distributed::{Communicator, Partition};
use alexnet::engine::Engine;
use alexnet::net::Net;
use anyhow::bail;
use std::sync::Arc;

/// How ranks share the work of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Parallel {
    /// Each has all parameters and a share of each batch; gradients are summed
    Data,
    /// Convolutions likewise, but each holds a part of the fully connected layers' weights, which are never sent
    Hybrid,
    /// Two processes, each of which has half of every layer for all images: the two GPUs of 2012
    Towers,
}

impl std::fmt::Display for Parallel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Parallel::Data => "data",
            Parallel::Hybrid => "hybrid",
            Parallel::Towers => "towers",
        })
    }
}

/// Refuses to share work among processes where this build cannot start any.
pub(super) fn check(how: Parallel, machine: &EngineArgs) -> anyhow::Result<()> {
    let of_two_devices = how == Parallel::Towers && machine.device().contains(',');
    if how != Parallel::Data && !of_two_devices && cfg!(not(any(feature = "mpi", feature = "nccl"))) {
        bail!(
            "--parallel {how} shares the work among processes, which this program was built without: build it with \
             cargo build --release --features mpi, and start it with mpirun"
        );
    }
    Ok(())
}

/// This rank's engine, all parameters zero, for batches of up to `batch` images.
pub(super) fn engine(
    machine: &EngineArgs,
    net: &Net,
    batch: usize,
    ranks: &Arc<dyn Communicator>,
    cut: Partition,
    how: Parallel,
) -> anyhow::Result<Box<dyn Engine>> {
    // The largest block; a rank works on one after the other.
    let capacity = batch.div_ceil(cut.blocks).max(1);
    let pair = machine.device().contains(',');
    if how != Parallel::Data && !(how == Parallel::Towers && pair) {
        if !machine.is_cpu() {
            let name = machine.device();
            match how {
                Parallel::Towers => bail!("--parallel towers on devices needs two of them: --device {name}:0,{name}:1"),
                _ => bail!("--parallel {how} runs on --device cpu alone"),
            }
        }
        let precision = machine.arithmetic().on_processor()?;
        let (ranks, threads) = (ranks.clone(), machine.threads);
        return Ok(match how {
            Parallel::Towers => Box::new(Towers::new(net, ranks, batch, threads, precision)?),
            _ => Box::new(Hybrid::new(net, ranks, capacity, threads, precision)?),
        });
    }
    if cut.blocks == 1 {
        return machine.engine(net, capacity);
    }
    machine.shared(net, capacity, ranks.clone(), cut)
}

//! One engine or its share in one that is spread over ranks.

use crate::commands::machine::Machine;
use alexnet::engine::Engine;
use alexnet::net::Net;
use alexnet::parallel::data::DataParallel;
use alexnet::parallel::{Communicator, Cut};
use std::sync::Arc;

/// How ranks share the work of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Parallel {
    /// Each has all parameters and a share of each batch; gradients are summed
    Data,
}

/// This rank's engine, all parameters zero, for batches of up to `batch` pictures.
pub(super) fn engine(
    machine: &Machine,
    net: &Net,
    batch: usize,
    ranks: &Arc<dyn Communicator>,
    cut: Cut,
    how: Parallel,
) -> anyhow::Result<Box<dyn Engine>> {
    // The largest block; a rank works on one after the other.
    let engine = machine.engine(net, batch.div_ceil(cut.blocks).max(1))?;
    if cut.blocks == 1 {
        return Ok(Box::new(engine));
    }
    Ok(match how {
        Parallel::Data => Box::new(DataParallel::new(engine, ranks.clone(), cut)),
    })
}

//! The ways in which ranks share the work of a training step, and the CPU engine for each.

use super::data_parallel::DataParallel;
use super::hybrid::Hybrid;
use super::towers::Towers;
use super::{Communicator, Partition};
use crate::engine::cpu::Cpu;
use crate::engine::{Precision, Training};
use crate::net::Net;
use crate::{Error, Result};
use std::sync::Arc;

/// How ranks share the work of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Parallel {
    /// Each rank has all parameters and a share of each batch; gradients are summed.
    #[default]
    Data,
    /// Convolutions likewise, but each rank holds a part of the fully connected layers' weights, which are never sent (Krizhevsky 2014).
    Hybrid,
    /// Two ranks, each of which has half of every layer for all images: the two GPUs of 2012.
    Towers,
}

impl Parallel {
    /// All ways.
    pub const ALL: [Parallel; 3] = [Parallel::Data, Parallel::Hybrid, Parallel::Towers];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Parallel::Data => "data",
            Parallel::Hybrid => "hybrid",
            Parallel::Towers => "towers",
        }
    }

    /// The way of a name.
    pub fn by_name(name: &str) -> Option<Parallel> {
        Parallel::ALL.into_iter().find(|way| way.name() == name)
    }

    /// The blocks of each batch that a rank computes.
    ///
    /// # Errors
    /// Fixed blocks where sums depend on the number of ranks anyway, or more ranks than blocks.
    pub fn partition(self, ranks: &dyn Communicator, blocks: Option<usize>) -> Result<Partition> {
        if self != Parallel::Data && blocks.is_some() {
            return Err(Error::Invalid(format!(
                "--parallel {self}: its sums depend on the number of processes; --deterministic and --micro-batch go with --parallel data"
            )));
        }
        match self {
            Parallel::Towers => Ok(Partition::WHOLE),
            _ => Partition::new(ranks.rank(), ranks.size(), blocks),
        }
    }

    /// A rank's engine on the CPU, all parameters zero, for batches of up to `batch` images.
    ///
    /// # Errors
    /// A net that cannot be shared in this way, or does not fit into memory.
    pub fn cpu_engine(
        self,
        net: &Net,
        batch: usize,
        precision: Precision,
        threads: usize,
        ranks: &Arc<dyn Communicator>,
        partition: Partition,
    ) -> Result<Box<dyn Training>> {
        precision.check_trains()?;
        let capacity = partition.capacity(batch);
        let ranks = ranks.clone();
        Ok(match self {
            Parallel::Towers => Box::new(Towers::new(net, ranks, batch, threads, precision)?),
            Parallel::Hybrid => Box::new(Hybrid::new(net, ranks, capacity, threads, precision)?),
            Parallel::Data => {
                let engine = Cpu::new(net, capacity, threads)?.with_precision(precision)?;
                if partition.blocks == 1 { Box::new(engine) } else { Box::new(DataParallel::new(engine, ranks, partition)) }
            }
        })
    }
}

impl std::fmt::Display for Parallel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

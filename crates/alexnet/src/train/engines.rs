//! Who makes the engine of a run: this crate makes those on the CPU, others those on devices.

use crate::distributed::data_parallel::DataParallel;
use crate::distributed::hybrid::Hybrid;
use crate::distributed::towers::Towers;
use crate::distributed::{Communicator, Parallel, Partition};
use crate::engine::cpu::Cpu;
use crate::engine::{Precision, Training};
use crate::net::Net;
use crate::{Error, Result};
use std::sync::Arc;

/// The engine that a run asks for, all parameters zero.
#[derive(Clone, Copy)]
pub struct EngineRequest<'a> {
    /// The network.
    pub net: &'a Net,
    /// Images of the largest batch, over all ranks.
    pub batch: usize,
    /// Arithmetic: `f32`, `bf16`, ...
    pub precision: &'a str,
    /// What computes: `cpu`, `vulkan:1`, ...
    pub device: &'a str,
    /// Threads; 0: one a core.
    pub threads: usize,
    /// The processes that share the work.
    pub ranks: &'a Arc<dyn Communicator>,
    /// This one's blocks of each batch.
    pub partition: Partition,
    /// How they share it.
    pub parallel: Parallel,
}

/// Makes the engines of runs.
pub trait Engines {
    /// Checks that a run with these settings is possible, before anything is read or written.
    ///
    /// # Errors
    /// Why it is not, and what to do.
    fn check(&self, device: &str, parallel: Parallel) -> Result<()>;

    /// The engine of one rank.
    ///
    /// # Errors
    /// A device or precision that is not there, or not enough memory.
    fn engine(&self, request: &EngineRequest<'_>) -> Result<Box<dyn Training>>;
}

/// Engines on the CPU.
#[derive(Debug, Clone, Copy, Default)]
pub struct CpuEngines;

impl Engines for CpuEngines {
    fn check(&self, device: &str, _: Parallel) -> Result<()> {
        match device {
            "cpu" => Ok(()),
            _ => Err(Error::Invalid(format!("--device {device}: these engines run on the CPU only"))),
        }
    }

    fn engine(&self, request: &EngineRequest<'_>) -> Result<Box<dyn Training>> {
        self.check(request.device, request.parallel)?;
        let EngineRequest { net, batch, precision, threads, ranks, partition, parallel, .. } = *request;
        let precision: Precision = precision.parse().map_err(|why| Error::Invalid(format!("--precision {precision}: {why}")))?;
        precision.check_trains()?;
        let (capacity, ranks) = (partition.capacity(batch), ranks.clone());
        Ok(match parallel {
            Parallel::Towers => Box::new(Towers::new(net, ranks, batch, threads, precision)?),
            Parallel::Hybrid => Box::new(Hybrid::new(net, ranks, capacity, threads, precision)?),
            Parallel::Data => {
                let engine = Cpu::new(net, capacity, threads)?.with_precision(precision)?;
                if partition.blocks == 1 { Box::new(engine) } else { Box::new(DataParallel::new(engine, ranks, partition)) }
            }
        })
    }
}

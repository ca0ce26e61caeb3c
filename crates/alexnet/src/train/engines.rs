//! Factories of a run's engines: on the CPU in this crate, on devices in others.

use crate::distributed::data_parallel::DataParallel;
use crate::distributed::hybrid::Hybrid;
use crate::distributed::towers::Towers;
use crate::distributed::{Communicator, Parallel, Partition};
use crate::engine::cpu::Cpu;
use crate::engine::{Precision, Training};
use crate::net::Net;
use crate::{Error, Result};
use std::sync::Arc;

/// Request for a run's engine, with all parameters zero.
#[derive(Clone, Copy)]
pub struct EngineRequest<'a> {
    /// The network.
    pub net: &'a Net,
    /// Number of images in the largest batch, over all ranks.
    pub batch: usize,
    /// Precision: `f32`, `bf16`, ...
    pub precision: &'a str,
    /// Device: `cpu`, `vulkan:1`, ...
    pub device: &'a str,
    /// Number of threads; 0: one per core.
    pub threads: usize,
    /// The processes that share the work.
    pub ranks: &'a Arc<dyn Communicator>,
    /// This rank's blocks of each batch.
    pub partition: Partition,
    /// How they share it.
    pub parallel: Parallel,
}

/// Factory of engines for runs.
pub trait Engines {
    /// Checks that a run with these settings is possible, before anything is read or written.
    ///
    /// # Errors
    /// The reason why not, with a suggested remedy.
    fn check(&self, device: &str, parallel: Parallel) -> Result<()>;

    /// Creates the engine of one rank.
    ///
    /// # Errors
    /// The device or precision is unavailable, or memory is insufficient.
    fn engine(&self, request: &EngineRequest<'_>) -> Result<Box<dyn Training>>;
}

/// Factory of CPU engines.
#[derive(Debug, Clone, Copy, Default)]
pub struct CpuEngines;

impl Engines for CpuEngines {
    fn check(&self, device: &str, _: Parallel) -> Result<()> {
        match device {
            "cpu" => Ok(()),
            _ => Err(Error::Invalid(format!("--device {device}: only the CPU is supported"))),
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

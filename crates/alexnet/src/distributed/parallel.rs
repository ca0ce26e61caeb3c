//! Parallel strategies of a training step.

use super::{Communicator, Partition};
use crate::{Error, Result};

/// Distribution of a training step over ranks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Parallel {
    /// Data parallel: each rank has all parameters and a shard of each batch; gradients are summed.
    #[default]
    Data,
    /// Data-parallel convolutions; each rank holds a part of the fully connected layers' weights, which are never
    /// sent (Krizhevsky 2014).
    Hybrid,
    /// Two ranks, each with half of every layer for all images, as the two GPUs of 2012.
    Towers,
}

impl Parallel {
    /// All strategies.
    pub const ALL: [Parallel; 3] = [Parallel::Data, Parallel::Hybrid, Parallel::Towers];

    /// Name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Parallel::Data => "data",
            Parallel::Hybrid => "hybrid",
            Parallel::Towers => "towers",
        }
    }

    /// Finds a strategy by name.
    pub fn by_name(name: &str) -> Option<Parallel> {
        Parallel::ALL.into_iter().find(|strategy| strategy.name() == name)
    }

    /// Partition of each batch for a rank.
    ///
    /// # Errors
    /// Fixed blocks in a strategy whose sums depend on the number of ranks, or more ranks than blocks.
    pub fn partition(self, ranks: &dyn Communicator, blocks: Option<usize>) -> Result<Partition> {
        if self != Parallel::Data && blocks.is_some() {
            return Err(Error::Invalid(format!(
                "--parallel {self}: results depend on the number of processes; --deterministic and \
                 --micro-batch require --parallel data"
            )));
        }
        match self {
            Parallel::Towers => Ok(Partition::WHOLE),
            _ => Partition::new(ranks.rank(), ranks.size(), blocks),
        }
    }
}

impl std::fmt::Display for Parallel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

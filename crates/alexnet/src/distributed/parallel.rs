//! The ways in which ranks share the work of a training step.

use super::{Communicator, Partition};
use crate::{Error, Result};

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
}

impl std::fmt::Display for Parallel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

//! The ranks of a job that `mpirun` started, as the library's [`Communicator`].
//!
//! Without the feature `mpi` there is only one process, and a job of several is refused: they would otherwise each train the
//! whole, into the same folder.

#[cfg(feature = "nccl")]
pub mod nccl;
#[cfg(feature = "mpi")]
mod world;

use alexnet::Result;
use alexnet::parallel::{Alone, Communicator};
use std::sync::Arc;

/// A job's ranks, seen from one of them.
pub struct Job {
    ranks: Arc<dyn Communicator>,
}

impl Job {
    /// Joins the job that this process was started in, or makes one of this process alone.
    ///
    /// # Errors
    /// A job of several processes in a program without MPI, or an MPI library that does not let threads take turns.
    pub fn join() -> Result<Job> {
        let size = size();
        if size <= 1 {
            return Ok(Job { ranks: Arc::new(Alone::default()) });
        }
        #[cfg(feature = "mpi")]
        return Ok(Job { ranks: Arc::new(world::World::join()?) });
        #[cfg(not(feature = "mpi"))]
        Err(alexnet::Error::Invalid(format!(
            "mpirun started {size} processes of a program that was built without MPI; build it with --features mpi"
        )))
    }

    /// What the ranks say to each other with.
    pub fn ranks(&self) -> &Arc<dyn Communicator> {
        &self.ranks
    }

    /// Ends all ranks now, wherever they are: for one that cannot go on, and has said why.
    pub fn abort(&self) -> ! {
        #[cfg(feature = "mpi")]
        if self.ranks.size() > 1 {
            world::abort();
        }
        std::process::exit(1)
    }
}

/// How many processes the job has, by what launchers tell each of them: Open MPI's, and those that speak PMI (MPICH, Slurm).
fn size() -> usize {
    let told = |name: &str| std::env::var(name).ok()?.parse().ok();
    ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMIX_SIZE"].into_iter().find_map(told).unwrap_or(1)
}

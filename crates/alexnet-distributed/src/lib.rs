//! Multi-process jobs behind the library's [`Communicator`]: processes started by `mpirun`, which communicate by MPI,
//! or processes with a GPU each, which communicate by NCCL and do not need `mpirun`.
//!
//! Without the features `mpi` and `nccl` only single-process jobs are supported, and a job of several is rejected:
//! each process would otherwise run the whole training, in the same folder.

#[cfg(any(feature = "mpi", feature = "nccl", test))]
mod gather;
#[cfg(feature = "nccl")]
mod nccl;
pub mod rendezvous;
#[cfg(feature = "mpi")]
mod world;

use alexnet::distributed::{Communicator, SingleProcess};
use alexnet::{Error, Result};
use rendezvous::Rendezvous;
use std::sync::Arc;

/// A distributed job, from the view of one rank.
pub struct Job {
    ranks: Arc<dyn Communicator>,
    /// MPI, which can end all ranks even if they communicate by other means.
    #[cfg(feature = "mpi")]
    world: Option<Arc<world::World>>,
}

/// Communication library of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Through {
    /// MPI, in a job started by `mpirun`; a single process needs none.
    Mpi,
    /// NCCL, in a job started by `mpirun` or, with a rendezvous, by another launcher.
    Nccl(Option<Rendezvous>),
}

impl Job {
    /// Joins the job that this process was started in, or creates a single-process job.
    ///
    /// # Errors
    /// A job of several processes in a build without MPI or NCCL, an MPI library without serialized threading, a
    /// machine without NCCL, or ranks that do not join.
    pub fn join(through: &Through) -> Result<Job> {
        match through {
            Through::Mpi => Job::by_mpi(),
            Through::Nccl(meeting) => Job::by_nccl(meeting.as_ref()),
        }
    }

    fn of(ranks: Arc<dyn Communicator>) -> Job {
        Job {
            ranks,
            #[cfg(feature = "mpi")]
            world: None,
        }
    }

    fn by_mpi() -> Result<Job> {
        let size = size();
        if size <= 1 {
            return Ok(Job::of(Arc::new(SingleProcess::default())));
        }
        #[cfg(feature = "mpi")]
        {
            let world = Arc::new(world::World::join()?);
            Ok(Job { ranks: world.clone(), world: Some(world) })
        }
        #[cfg(not(feature = "mpi"))]
        Err(Error::Invalid(format!(
            "mpirun started {size} processes of a program that was built without MPI; build it with --features mpi"
        )))
    }

    #[cfg(not(feature = "nccl"))]
    fn by_nccl(_: Option<&Rendezvous>) -> Result<Job> {
        Err(Error::Invalid("--communicator nccl: this program was built without NCCL; build it with --features nccl".into()))
    }

    #[cfg(feature = "nccl")]
    fn by_nccl(meeting: Option<&Rendezvous>) -> Result<Job> {
        nccl::check()?;
        if let Some(meeting) = meeting {
            let name = meeting.hand_over(nccl::name)?;
            if meeting.size == 1 {
                return Ok(Job::of(Arc::new(SingleProcess::default())));
            }
            return Ok(Job::of(Arc::new(nccl::Nccl::join(meeting.rank, meeting.size, local_rank(), name)?)));
        }
        // A single process without mpirun and rendezvous is a valid job.
        if cfg!(not(feature = "mpi")) && size() > 1 {
            return Err(Error::Invalid(format!(
                "mpirun started {} processes of a program that was built without MPI; build it with --features mpi,nccl, or use \
                 --rendezvous FILE",
                size()
            )));
        }
        let job = Job::by_mpi()?;
        if job.ranks.size() == 1 {
            return Ok(job);
        }
        let (rank, size) = (job.ranks.rank(), job.ranks.size());
        let own = if rank == 0 { nccl::name()?.to_vec() } else { Vec::new() };
        let name = job.ranks.broadcast(&own)?.try_into();
        let name = name.map_err(|_| Error::Invalid("NCCL: rank 0 sent an incomplete job id".into()))?;
        Ok(Job { ranks: Arc::new(nccl::Nccl::join(rank, size, local_rank(), name)?), ..job })
    }

    /// Communicator of the job's ranks.
    pub fn ranks(&self) -> &Arc<dyn Communicator> {
        &self.ranks
    }

    /// Terminates all ranks immediately, after an error was reported. Without MPI only this process exits, which the
    /// other ranks detect.
    pub fn abort(&self) -> ! {
        #[cfg(feature = "mpi")]
        if self.world.is_some() {
            world::abort();
        }
        std::process::exit(1)
    }
}

/// Backs off between two polls, so that a waiting thread leaves the processor to those that compute.
#[cfg(any(feature = "mpi", feature = "nccl"))]
fn pause(looks: u32) {
    match looks {
        0..50 => std::thread::yield_now(),
        _ => std::thread::sleep(std::time::Duration::from_micros(20)),
    }
}

/// Value set by a launcher: the first of these environment variables that is a number.
fn env_number(names: &[&str]) -> Option<usize> {
    names.iter().find_map(|name| std::env::var(name).ok()?.parse().ok())
}

/// Number of processes in the job, from the variables that `mpirun` sets: Open MPI, and PMI launchers (MPICH, Slurm).
fn size() -> usize {
    env_number(&["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMIX_SIZE"]).unwrap_or(1)
}

/// Whether `mpirun` or a compatible launcher started this process.
pub fn is_of_mpirun() -> bool {
    size() > 1
}

/// Index of this process on its machine, if the launcher sets it: torchrun, Open MPI, MPICH, Slurm.
pub fn local_rank() -> Option<usize> {
    env_number(&["LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "SLURM_LOCALID"])
}

/// Rank and number of ranks, if the launcher sets them: torchrun and compatible launchers, `mpirun`, Slurm.
pub fn launched() -> (Option<usize>, Option<usize>) {
    let rank = ["RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "SLURM_PROCID"];
    let size = ["WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_NTASKS"];
    (env_number(&rank), env_number(&size))
}

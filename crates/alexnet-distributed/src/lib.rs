//! The ranks of a job, as the library's [`Communicator`]: processes that `mpirun` started, which speak by MPI, or processes with a GPU
//! each, which speak by NCCL and need no `mpirun`.
//!
//! Without the features `mpi` and `nccl` there is only one process, and a job of several is refused: they would otherwise each train the
//! whole, into the same folder.

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

/// A job's ranks, seen from one of them.
pub struct Job {
    ranks: Arc<dyn Communicator>,
    /// MPI, where something else speaks, but MPI can still end all.
    #[cfg(feature = "mpi")]
    world: Option<Arc<world::World>>,
}

/// By what ranks speak to each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Through {
    /// MPI, in the job that `mpirun` started; or nothing, in a process by itself.
    Mpi,
    /// NCCL, in the job that `mpirun` started or, where there is a meeting, that others did.
    Nccl(Option<Rendezvous>),
}

impl Job {
    /// Joins the job that this process was started in, or makes one of this process alone.
    ///
    /// # Errors
    /// A job of several processes in a program without MPI or NCCL, an MPI library that does not let threads take turns, a machine without
    /// NCCL, or ranks that do not come.
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
        // No mpirun, no meeting, one process: that is a job, too.
        if cfg!(not(feature = "mpi")) && size() > 1 {
            return Err(Error::Invalid(format!(
                "mpirun started {} processes of a program that was built without MPI; build it with --features mpi,nccl, or let \
                 them meet by --rendezvous FILE",
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
        let name = name.map_err(|_| Error::Invalid("NCCL: rank 0's name for the job has not come whole".into()))?;
        Ok(Job { ranks: Arc::new(nccl::Nccl::join(rank, size, local_rank(), name)?), ..job })
    }

    /// What the ranks say to each other with.
    pub fn ranks(&self) -> &Arc<dyn Communicator> {
        &self.ranks
    }

    /// Ends all ranks now, wherever they are: for one that cannot go on, and has said why. Where no MPI does that, this process ends, which
    /// the others find out.
    pub fn abort(&self) -> ! {
        #[cfg(feature = "mpi")]
        if self.world.is_some() {
            world::abort();
        }
        std::process::exit(1)
    }
}

/// A moment between two looks whether messages have come, so that who waits leaves the processor to the threads that compute.
#[cfg(any(feature = "mpi", feature = "nccl"))]
fn pause(looks: u32) {
    match looks {
        0..50 => std::thread::yield_now(),
        _ => std::thread::sleep(std::time::Duration::from_micros(20)),
    }
}

/// What a launcher tells its processes: the first of these variables that is a number.
fn told(names: &[&str]) -> Option<usize> {
    names.iter().find_map(|name| std::env::var(name).ok()?.parse().ok())
}

/// How many processes the job has, by what `mpirun` tells each of them: Open MPI's, and those that speak PMI (MPICH, Slurm).
fn size() -> usize {
    told(&["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMIX_SIZE"]).unwrap_or(1)
}

/// Whether `mpirun` started this process, or something that does as it does.
pub fn is_of_mpirun() -> bool {
    size() > 1
}

/// This process's number among those of its machine, where a launcher tells it: torchrun, Open MPI, MPICH, Slurm.
pub fn local_rank() -> Option<usize> {
    told(&["LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "SLURM_LOCALID"])
}

/// Which rank this process is, and of how many, by what launchers tell: torchrun and those that do as it does, `mpirun`, and Slurm.
pub fn launched() -> (Option<usize>, Option<usize>) {
    let rank = ["RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "SLURM_PROCID"];
    let size = ["WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_NTASKS"];
    (told(&rank), told(&size))
}

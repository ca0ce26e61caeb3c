//! Commands that several processes carry out together: all do the work, rank 0 alone talks.

use super::signals::{self, Which};
use crate::{numbers, output};
use alexnet::distributed::Communicator;
use alexnet::files;
use alexnet_distributed::rendezvous::Rendezvous;
use alexnet_distributed::{Job, Through, launched};
use anyhow::{Context, bail};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Whether this build can be one of several processes at all, and whether it can be without mpirun. Options that it cannot use are
/// hidden; given nevertheless, they are refused by name of the feature that is missing.
const HAS_RANKS: bool = cfg!(any(feature = "mpi", feature = "nccl"));
const HAS_NCCL: bool = cfg!(feature = "nccl");

/// Options about the processes of a job.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct DistArgs {
    /// By what the processes of a job speak to each other
    #[arg(long, value_enum, default_value_t = Library::Mpi, hide = !HAS_RANKS)]
    communicator: Library,
    /// Where processes that no mpirun started meet: a new file, on a disk that all see
    #[arg(long, value_name = "FILE", hide = !HAS_NCCL)]
    rendezvous: Option<PathBuf>,
    /// Which of them this one is, from 0 [default: what the launcher has set: RANK, SLURM_PROCID, ...]
    #[arg(long, value_name = "N", requires = "rendezvous", value_parser = numbers::count_or_zero, hide = !HAS_NCCL)]
    rank: Option<usize>,
    /// How many they are [default: what the launcher has set: WORLD_SIZE, SLURM_NTASKS, ...]
    #[arg(long, value_name = "N", requires = "rendezvous", value_parser = numbers::count, hide = !HAS_NCCL)]
    ranks: Option<usize>,
    /// How many seconds to wait there for the others
    #[arg(long, value_name = "S", default_value = "300", requires = "rendezvous", value_parser = numbers::seconds, hide = !HAS_NCCL)]
    rendezvous_limit: f64,
}

/// What carries messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Library {
    /// MPI, between the processes of mpirun
    Mpi,
    /// NCCL, between processes that have a GPU each, started by mpirun or, with --rendezvous, by anything
    Nccl,
}

impl DistArgs {
    /// How to join the job.
    fn through(&self) -> anyhow::Result<Through> {
        let Some(file) = &self.rendezvous else {
            let through = if self.communicator == Library::Mpi { Through::Mpi } else { Through::Nccl(None) };
            if through != Through::Mpi
                && let (_, Some(size @ 2..)) = launched()
                && !alexnet_distributed::is_of_mpirun()
            {
                bail!(
                    "--communicator nccl: a launcher other than mpirun started {size} processes; say by --rendezvous FILE where they meet"
                );
            }
            return Ok(through);
        };
        if self.communicator == Library::Mpi {
            bail!("--rendezvous: processes of mpirun know each other; leave it out, or add --communicator nccl");
        }
        let (rank, size) = launched();
        let rank = self.rank.or(rank).context("--rendezvous: which process is this? add --rank N, or set RANK")?;
        let size = self.ranks.or(size).context("--rendezvous: how many processes are there? add --ranks N, or set WORLD_SIZE")?;
        let limit = Duration::try_from_secs_f64(self.rendezvous_limit);
        let limit = limit.ok().with_context(|| format!("--rendezvous-limit {}: not a length of time", self.rendezvous_limit))?;
        Ok(Through::Nccl(Some(Rendezvous { file: file.clone(), rank, size, limit })))
    }
}

/// What one rank has to say at the end, and all know of: nobody waits.
#[derive(Debug)]
pub(crate) struct Agreed(pub(crate) String);

impl std::fmt::Display for Agreed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Agreed {}

/// Runs a command's work as one of the job's ranks. `work` is told whether to be quiet.
///
/// A rank that fails says so and ends the whole job at once: the others would wait for it for ever.
pub(crate) fn together(
    how: &DistArgs,
    quiet: bool,
    work: impl FnOnce(&Arc<dyn Communicator>, bool) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let job = Job::join(&how.through()?)?;
    let ranks = job.ranks().clone();
    if ranks.size() == 1 {
        return work(&ranks, quiet);
    }
    // Without MPI's own farewell, which would wait for the others.
    match catch_unwind(AssertUnwindSafe(|| work(&ranks, quiet || ranks.rank() > 0))) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) if error.is::<Agreed>() => Err(error),
        Ok(Err(error)) if crate::output::reader_has_gone(&error) => job.abort(),
        Ok(Err(error)) => {
            crate::output::note(&format!("error: {}: {error:#}", name(&*ranks)));
            job.abort()
        }
        Err(_) => job.abort(),
    }
}

/// Which rank this is.
fn name(ranks: &dyn Communicator) -> String {
    format!("rank {} of {}", ranks.rank(), ranks.size())
}

/// Lets Ctrl-C (or a polite kill) end the program at once, without leaving a half-written file of hundreds of megabytes beside
/// what it was to become.
pub(crate) fn end_on_signal() {
    // Without handlers, too, the next command that writes the file clears what is left.
    let _ = signals::handle(Which::NotIgnored, || {
        files::abandon();
        // As shells count: 128 and the number of SIGINT.
        std::process::exit(130);
    });
}

/// Lets Ctrl-C (or a polite kill) set the flag `stop`; the second one ends the program at once, which harms no file.
///
/// To the ranks of a job, mpirun sends that when another one has died or when it was told to end itself, and kills a second later
/// whoever is still there: too short to save. They say so and go. What asks for a save is SIGUSR1, which mpirun hands on.
/// (Without mpirun, every process needs it.)
pub(crate) fn stop_on_signal(ranks: &Arc<dyn Communicator>, stop: &Arc<AtomicBool>) -> alexnet::Result<()> {
    let failed = |error: &dyn std::fmt::Display| alexnet::Error::Invalid(format!("signals cannot be handled: {error}"));
    let flag = stop.clone();
    if ranks.size() > 1 {
        #[cfg(all(any(feature = "mpi", feature = "nccl"), unix))]
        signal_hook::flag::register(signal_hook::consts::SIGUSR1, flag).map_err(|error| failed(&error))?;
        let name = name(&**ranks);
        signals::handle(Which::Stops, move || {
            output::note(&format!(
                "error: {name}: told to end: another rank has died, or the job was stopped; go on with --resume RUN"
            ));
            files::abandon();
            std::process::exit(1);
        })
        .map_err(|error| failed(&error))?;
        return Ok(());
    }
    signals::handle(Which::Stops, move || {
        if flag.swap(true, Ordering::Relaxed) {
            files::abandon();
            std::process::exit(1);
        }
        output::note("");
        output::note("saving...; press Ctrl-C again to quit without saving");
    })
    .map_err(|error| failed(&error))
}

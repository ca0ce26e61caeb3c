//! Multi-process commands: every rank works, only rank 0 prints.

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

/// Whether this build supports several processes, and whether it does without mpirun. Unsupported options are hidden; if given
/// anyway, the error names the missing feature.
const HAS_RANKS: bool = cfg!(any(feature = "mpi", feature = "nccl"));
const HAS_NCCL: bool = cfg!(feature = "nccl");

/// Options for multi-process jobs.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct DistArgs {
    /// Communication library
    #[arg(long, value_enum, default_value_t = Library::Mpi, hide = !HAS_RANKS)]
    communicator: Library,
    /// Rendezvous of processes started without mpirun: a new file on a shared disk
    #[arg(long, value_name = "FILE", hide = !HAS_NCCL)]
    rendezvous: Option<PathBuf>,
    /// Rank of this process, from 0 [default: from the launcher: RANK, SLURM_PROCID, ...]
    #[arg(long, value_name = "N", requires = "rendezvous", value_parser = numbers::count_or_zero, hide = !HAS_NCCL)]
    rank: Option<usize>,
    /// Number of processes [default: from the launcher: WORLD_SIZE, SLURM_NTASKS, ...]
    #[arg(long, value_name = "N", requires = "rendezvous", value_parser = numbers::count, hide = !HAS_NCCL)]
    ranks: Option<usize>,
    /// Seconds to wait for the other processes at the rendezvous
    #[arg(long, value_name = "S", default_value = "300", requires = "rendezvous", value_parser = numbers::seconds, hide = !HAS_NCCL)]
    rendezvous_limit: f64,
}

/// Communication library.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Library {
    /// MPI, for processes started by mpirun
    Mpi,
    /// NCCL, for processes with one GPU each, started by mpirun or (with --rendezvous) any other launcher
    Nccl,
}

impl DistArgs {
    /// Resolves how to join the job.
    fn through(&self) -> anyhow::Result<Through> {
        let Some(file) = &self.rendezvous else {
            let through = if self.communicator == Library::Mpi { Through::Mpi } else { Through::Nccl(None) };
            if through != Through::Mpi
                && let (_, Some(size @ 2..)) = launched()
                && !alexnet_distributed::is_of_mpirun()
            {
                bail!(
                    "--communicator nccl: a launcher other than mpirun started {size} processes; add --rendezvous FILE, a file that all of them share"
                );
            }
            return Ok(through);
        };
        if self.communicator == Library::Mpi {
            bail!("--rendezvous: not needed under mpirun; omit it, or add --communicator nccl");
        }
        let (rank, size) = launched();
        let rank = self.rank.or(rank).context("--rendezvous: missing rank of this process; add --rank N or set RANK")?;
        let size = self.ranks.or(size).context("--rendezvous: missing number of processes; add --ranks N or set WORLD_SIZE")?;
        let limit = Duration::try_from_secs_f64(self.rendezvous_limit);
        let limit = limit.ok().with_context(|| format!("--rendezvous-limit {}: not a valid duration", self.rendezvous_limit))?;
        Ok(Through::Nccl(Some(Rendezvous { file: file.clone(), rank, size, limit })))
    }
}

/// An error that all ranks know of and one rank reports. Nobody waits.
#[derive(Debug)]
pub(crate) struct Agreed(pub(crate) String);

impl std::fmt::Display for Agreed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Agreed {}

/// Runs a command's work as one rank of the job. The second argument of `work` is whether to be quiet.
///
/// A rank that fails prints its error and aborts the whole job, since the others would wait for it forever.
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
    // Without MPI_Finalize, which would wait for the others.
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

/// "rank R of N", for messages.
fn name(ranks: &dyn Communicator) -> String {
    format!("rank {} of {}", ranks.rank(), ranks.size())
}

/// Makes Ctrl-C (or SIGTERM) exit at once, without leaving a half-written temporary file of hundreds of megabytes.
pub(crate) fn end_on_signal() {
    // Even without handlers, the next command that writes the file removes the leftovers.
    let _ = signals::handle(Which::NotIgnored, || {
        files::abandon();
        // The shell convention: 128 plus the number of SIGINT.
        std::process::exit(130);
    });
}

/// Makes Ctrl-C (or SIGTERM) set the flag `stop`. A second signal exits at once, which damages no file.
///
/// mpirun sends SIGTERM to the ranks of a job when another rank has died or when it is itself asked to stop, and kills the
/// remaining ones a second later: too soon to save. They log the reason and exit. To request a save, send SIGUSR1, which mpirun
/// forwards. (Without mpirun, every process needs it.)
pub(crate) fn stop_on_signal(ranks: &Arc<dyn Communicator>, stop: &Arc<AtomicBool>) -> alexnet::Result<()> {
    let failed = |error: &dyn std::fmt::Display| alexnet::Error::Invalid(format!("signals cannot be handled: {error}"));
    let flag = stop.clone();
    if ranks.size() > 1 {
        #[cfg(all(any(feature = "mpi", feature = "nccl"), unix))]
        signal_hook::flag::register(signal_hook::consts::SIGUSR1, flag).map_err(|error| failed(&error))?;
        let name = name(&**ranks);
        signals::handle(Which::Stops, move || {
            output::note(&format!(
                "error: {name}: terminated: another rank has died, or the job was stopped; resume with --resume RUN"
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

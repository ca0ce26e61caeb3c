//! Commands that several processes carry out together, started by `mpirun`: all do the work, rank 0 alone talks.

use alexnet::parallel::Communicator;
use alexnet_mpi::Job;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

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
pub(crate) fn together(quiet: bool, work: impl FnOnce(&Arc<dyn Communicator>, bool) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let job = Job::join()?;
    let ranks = job.ranks().clone();
    if ranks.size() == 1 {
        return work(&ranks, quiet);
    }
    // Without MPI's own farewell, which would wait for the others.
    match catch_unwind(AssertUnwindSafe(|| work(&ranks, quiet || ranks.rank() > 0))) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) if error.is::<Agreed>() => Err(error),
        Ok(Err(error)) if crate::out::reader_has_gone(&error) => job.abort(),
        Ok(Err(error)) => {
            eprintln!("error: {}: {error:#}", name(&*ranks));
            job.abort()
        }
        Err(_) => job.abort(),
    }
}

/// Which rank this is.
fn name(ranks: &dyn Communicator) -> String {
    format!("rank {} of {}", ranks.rank(), ranks.size())
}

/// A flag that Ctrl-C (or a polite kill) sets; the second one ends the program at once, which harms no file.
///
/// To the ranks of a job, mpirun sends that when another one has died or when it was told to end itself, and kills a second later
/// whoever is still there: too short to save. They say so and go. What asks for a save is SIGUSR1, which mpirun hands on.
pub(crate) fn stop_on_signal(ranks: &Arc<dyn Communicator>) -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    if ranks.size() > 1 {
        #[cfg(all(feature = "mpi", unix))]
        signal_hook::flag::register(signal_hook::consts::SIGUSR1, flag)?;
        let name = name(&**ranks);
        ctrlc::set_handler(move || {
            eprintln!("error: {name}: told to end: another rank has died, or mpirun was stopped; go on with --resume RUN");
            std::process::exit(1);
        })?;
        return Ok(stop);
    }
    ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(1);
        }
        eprintln!("\nsaving; once more stops at once");
    })?;
    Ok(stop)
}

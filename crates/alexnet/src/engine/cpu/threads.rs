//! The kernels' tasks on rayon's threads.

use alexnet_kernels::threads::Threads;
use rayon::prelude::*;

use crate::{Error, Result};

/// The threads of the rayon pool on which the caller runs.
pub(super) struct Rayon;

impl Threads for Rayon {
    fn run(&self, tasks: usize, task: &(dyn Fn(usize) + Sync)) {
        if tasks == 1 {
            return task(0);
        }
        (0..tasks).into_par_iter().with_max_len(1).for_each(task);
    }
}

/// A pool of `threads` threads, or of one a core when 0.
pub(super) fn pool(threads: usize) -> Result<rayon::ThreadPool> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).thread_name(|i| format!("alexnet-{i}")).build();
    pool.map_err(|error| Error::Invalid(format!("cannot start {threads} threads: {error}")))
}

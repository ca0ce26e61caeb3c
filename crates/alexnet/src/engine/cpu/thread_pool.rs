//! The threads that run the kernels' tasks.

use alexnet_kernels::thread_pool::ThreadPool;

use crate::{Error, Result};

/// A team of `threads` threads, or of one a core when 0; the engine's caller is one of them.
pub(super) fn new(threads: usize) -> Result<ThreadPool> {
    let threads = if threads == 0 { std::thread::available_parallelism().map_or(1, usize::from) } else { threads };
    ThreadPool::new(threads).map_err(|error| Error::Invalid(format!("cannot start {threads} threads: {error}")))
}

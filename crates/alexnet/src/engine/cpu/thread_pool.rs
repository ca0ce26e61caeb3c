//! Thread pool for kernel tasks.

use alexnet_kernels::thread_pool::ThreadPool;

use crate::{Error, Result};

/// Creates a pool of `threads` threads, or one per core when 0; the calling thread is one of them.
pub(super) fn new(threads: usize) -> Result<ThreadPool> {
    let threads = if threads == 0 { std::thread::available_parallelism().map_or(1, usize::from) } else { threads };
    ThreadPool::new(threads).map_err(|error| Error::Invalid(format!("cannot start {threads} threads: {error}")))
}

//! How a kernel shares its work: it never starts a thread, it asks its caller to run numbered tasks.

/// Runs numbered tasks, on as many threads as it likes, in any order.
///
/// What a task computes depends on its number alone, never on the thread or the order, and sums are split at places
/// fixed by the shape. So the bits of every result are the same for any number of threads.
pub trait Threads: Sync {
    /// Calls `task(i)` once for each `i` in `0..tasks` and returns when all are done.
    fn run(&self, tasks: usize, task: &(dyn Fn(usize) + Sync));
}

/// One after the other on the calling thread.
#[derive(Debug, Clone, Copy, Default)]
pub struct Serial;

impl Threads for Serial {
    fn run(&self, tasks: usize, task: &(dyn Fn(usize) + Sync)) {
        (0..tasks).for_each(task);
    }
}

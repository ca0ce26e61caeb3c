//! Parallel execution of numbered tasks. Kernels never start threads; they pass tasks to an executor.

use std::marker::PhantomData;

/// Executor of numbered tasks, on any number of threads and in any order.
///
/// A task's result depends on its number alone, never on the thread or the order, and sums are split at positions fixed by the
/// shape. The bits of every result are therefore the same for any number of threads.
pub trait Executor: Sync {
    /// Calls `task(i)` once for each `i` in `0..tasks` and returns when all are done.
    fn run(&self, tasks: usize, task: &(dyn Fn(usize) + Sync));
}

/// A buffer whose disjoint parts are written by different tasks.
///
/// Tasks that each own a range of a buffer, or a block of matrix columns, cannot prove that to the borrow checker.
#[derive(Clone, Copy)]
pub struct DisjointSlices<'a, T = f32> {
    start: *mut T,
    len: usize,
    buffer: PhantomData<&'a mut [T]>,
}

// SAFETY: a `DisjointSlices` is a mutable borrow of plain values; the caller of `slice` guarantees that no two threads access the
// same ones.
unsafe impl<T: Send> Send for DisjointSlices<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for DisjointSlices<'_, T> {}

impl<'a, T> DisjointSlices<'a, T> {
    /// Borrows the whole buffer.
    pub fn new(buffer: &'a mut [T]) -> Self {
        DisjointSlices { start: buffer.as_mut_ptr(), len: buffer.len(), buffer: PhantomData }
    }

    /// The `len` values starting at `start`.
    ///
    /// # Safety
    /// While the returned slice lives, nothing else reads or writes these values.
    ///
    /// # Panics
    /// If the range exceeds the buffer.
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn slice(&self, start: usize, len: usize) -> &'a mut [T] {
        assert!(start.checked_add(len).is_some_and(|end| end <= self.len), "{len} values at {start} of {}", self.len);
        // SAFETY: within the buffer by the assertion; exclusive by this function's own condition.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(start), len) }
    }

    /// Pointer to value `at`, valid for `len` values, for tasks that own matrix columns, whose rows interleave.
    ///
    /// # Panics
    /// If the range exceeds the buffer.
    pub(crate) fn pointer(&self, at: usize, len: usize) -> *mut T {
        assert!(at.checked_add(len).is_some_and(|end| end <= self.len), "{len} values at {at} of {}", self.len);
        self.start.wrapping_add(at)
    }
}

/// Splits `buffer` into pieces of `chunk` values and calls `task(i, piece)` for each, in any order.
pub fn for_each_chunk<T: Send>(threads: &dyn Executor, buffer: &mut [T], chunk: usize, task: impl Fn(usize, &mut [T]) + Sync) {
    let len = buffer.len();
    let parts = DisjointSlices::new(buffer);
    threads.run(len.div_ceil(chunk), &|i| {
        // SAFETY: the pieces of different i do not overlap, and each i is run once.
        task(i, unsafe { parts.slice(i * chunk, chunk.min(len - i * chunk)) })
    });
}

/// Executor that runs tasks in sequence on the calling thread.
#[derive(Debug, Clone, Copy, Default)]
pub struct Serial;

impl Executor for Serial {
    fn run(&self, tasks: usize, task: &(dyn Fn(usize) + Sync)) {
        (0..tasks).for_each(task);
    }
}

//! How a kernel shares its work: it never starts a thread, it asks its caller to run numbered tasks.

use std::marker::PhantomData;

/// Runs numbered tasks, on as many threads as it likes, in any order.
///
/// What a task computes depends on its number alone, never on the thread or the order, and sums are split at places
/// fixed by the shape. So the bits of every result are the same for any number of threads.
pub trait Executor: Sync {
    /// Calls `task(i)` once for each `i` in `0..tasks` and returns when all are done.
    fn run(&self, tasks: usize, task: &(dyn Fn(usize) + Sync));
}

/// A buffer whose parts are written by different tasks.
///
/// Tasks that each own one stretch of a buffer, or one block of columns of a matrix, cannot show that to the borrow checker.
#[derive(Clone, Copy)]
pub struct DisjointSlices<'a, T = f32> {
    start: *mut T,
    len: usize,
    buffer: PhantomData<&'a mut [T]>,
}

// SAFETY: a `DisjointSlices` is a mutable borrow of plain values; `slice` puts on its caller that no two threads touch the same ones.
unsafe impl<T: Send> Send for DisjointSlices<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for DisjointSlices<'_, T> {}

impl<'a, T> DisjointSlices<'a, T> {
    /// Borrows the whole buffer.
    pub fn new(buffer: &'a mut [T]) -> Self {
        DisjointSlices { start: buffer.as_mut_ptr(), len: buffer.len(), buffer: PhantomData }
    }

    /// The `len` values that begin at `start`.
    ///
    /// # Safety
    /// As long as the returned slice lives, nobody else reads or writes these values.
    ///
    /// # Panics
    /// When they reach past the end of the buffer.
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn slice(&self, start: usize, len: usize) -> &'a mut [T] {
        assert!(start.checked_add(len).is_some_and(|end| end <= self.len), "{len} values at {start} of {}", self.len);
        // SAFETY: within the buffer by the assertion; exclusive by this function's own condition.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(start), len) }
    }

    /// The place of value `at`, from which `len` values can be reached: for tasks that own columns of a matrix, whose rows
    /// interleave.
    ///
    /// # Panics
    /// When they reach past the end of the buffer.
    pub(crate) fn pointer(&self, at: usize, len: usize) -> *mut T {
        assert!(at.checked_add(len).is_some_and(|end| end <= self.len), "{len} values at {at} of {}", self.len);
        self.start.wrapping_add(at)
    }
}

/// Cuts `buffer` into pieces of `chunk` values and calls `task(i, piece)` for each, in any order.
pub fn for_each_chunk<T: Send>(threads: &dyn Executor, buffer: &mut [T], chunk: usize, task: impl Fn(usize, &mut [T]) + Sync) {
    let len = buffer.len();
    let parts = DisjointSlices::new(buffer);
    threads.run(len.div_ceil(chunk), &|i| {
        // SAFETY: the pieces of different i do not overlap, and each i is run once.
        task(i, unsafe { parts.slice(i * chunk, chunk.min(len - i * chunk)) })
    });
}

/// One after the other on the calling thread.
#[derive(Debug, Clone, Copy, Default)]
pub struct Serial;

impl Executor for Serial {
    fn run(&self, tasks: usize, task: &(dyn Fn(usize) + Sync)) {
        (0..tasks).for_each(task);
    }
}

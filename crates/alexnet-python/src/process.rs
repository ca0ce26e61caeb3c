//! Objects that belong to the process in which their threads run. Threads do not survive `fork`: a forked process would wait for
//! them forever.

use crate::errors::AlexNetError;
use pyo3::PyResult;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The process that started an object's threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process(u32);

impl Process {
    /// The running process.
    pub(crate) fn current() -> Process {
        Process(std::process::id())
    }

    /// Refuses to go on in a forked process.
    ///
    /// # Errors
    /// `what` was started in another process.
    pub(crate) fn check(self, what: &str) -> PyResult<()> {
        if self == Process::current() {
            return Ok(());
        }
        Err(AlexNetError::new_err(format!(
            "this {what} belongs to process {}, and its threads do not exist in the forked process {}: open it in the process that \
             uses it (for a DataLoader, in worker_init_fn), or call multiprocessing.set_start_method(\"spawn\")",
            self.0,
            std::process::id()
        )))
    }
}

/// A value with threads, which its process alone may use, one call at a time.
pub(crate) struct Owned<T> {
    /// Present until it is dropped.
    value: Option<Mutex<T>>,
    process: Process,
}

impl<T> Owned<T> {
    /// A value of the running process.
    pub(crate) fn new(value: T) -> Owned<T> {
        Owned { value: Some(Mutex::new(value)), process: Process::current() }
    }

    /// The value, as soon as no other thread uses it; `None` in another process. [`check`](Self::check) says why, and is called
    /// first, with the interpreter lock; this waits without it.
    pub(crate) fn lock(&self) -> Option<MutexGuard<'_, T>> {
        let value = self.value.as_ref().filter(|_| self.process == Process::current())?;
        Some(value.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The error of use in a forked process.
    ///
    /// # Errors
    /// See [`Process::check`].
    pub(crate) fn check(&self, what: &str) -> PyResult<()> {
        self.process.check(what)
    }
}

impl<T> Drop for Owned<T> {
    /// A forked process has the memory but not the threads, which could not be joined.
    fn drop(&mut self) {
        if self.process != Process::current() {
            std::mem::forget(self.value.take());
        }
    }
}

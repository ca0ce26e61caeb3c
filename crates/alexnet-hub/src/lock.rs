//! Locks by which processes that want the same file take turns.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;

/// A lock held on a file until dropped. It ends with the process, however that dies.
#[derive(Debug)]
pub(crate) struct Lock {
    /// `None` on file systems without locks.
    held: Option<File>,
}

impl Lock {
    /// Locks the file `path`, created if missing. Calls `waiting` first if another process holds the lock.
    ///
    /// The file stays afterwards: removing it could leave two processes with locks on two files of the same name.
    pub(crate) fn take(path: &Path, waiting: impl FnOnce()) -> io::Result<Lock> {
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Lock { held: Some(file) }),
            Err(TryLockError::WouldBlock) => {
                waiting();
                file.lock()?;
                Ok(Lock { held: Some(file) })
            }
            Err(TryLockError::Error(_)) => Ok(Lock { held: None }),
        }
    }

    /// Whether other processes are really excluded.
    pub(crate) fn is_exclusive(&self) -> bool {
        self.held.is_some()
    }
}

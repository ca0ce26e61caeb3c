//! Run folder: its files, and a lock against concurrent runs.

use super::snapshots;
use crate::{Error, Result, files};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// Folder of a run, locked until dropped. The system releases the lock of a killed process.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    /// `None` in a rank that only reads.
    _lock: Option<File>,
}

/// Name of the lock file.
const LOCK: &str = ".lock";

impl RunDir {
    /// Creates the folder of a new run, or reuses an empty one. A folder with only half-written files of a killed process is
    /// empty.
    ///
    /// # Errors
    /// The folder is not empty, is in use, or cannot be created.
    pub fn create(path: &Path) -> Result<RunDir> {
        std::fs::create_dir_all(path).map_err(|e| files::explain(path, e))?;
        let folder = RunDir::locked(path)?;
        for entry in std::fs::read_dir(path).map_err(|e| Error::io(path, e))? {
            let name = entry.map_err(|e| Error::io(path, e))?.file_name();
            if name != LOCK && !files::is_leftover(&name) {
                let advice = if name == "config.toml" || name == "state.safetensors" {
                    format!("contains a run; resume it with --resume {}, or choose another --out", path.display())
                } else {
                    format!("not empty (contains {}); choose another --out", name.to_string_lossy())
                };
                return Err(Error::file(path, advice));
            }
        }
        files::remove_leftovers(path);
        Ok(folder)
    }

    /// Creates `parent/NAME-1`, or the first free number.
    ///
    /// # Errors
    /// The folder cannot be created.
    pub fn fresh(parent: &Path, name: &str) -> Result<RunDir> {
        std::fs::create_dir_all(parent).map_err(|e| files::explain(parent, e))?;
        let mut number = 1u64;
        loop {
            let path = parent.join(format!("{name}-{number}"));
            match std::fs::create_dir(&path) {
                Ok(()) => return RunDir::locked(&path),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
                Err(error) => return Err(files::explain(&path, error)),
            }
        }
    }

    /// Opens the folder of an earlier run, and removes half-written files of a killed process.
    ///
    /// # Errors
    /// There is no run, or it is still in progress.
    pub fn open(path: &Path) -> Result<RunDir> {
        if !path.join("config.toml").is_file() {
            let advice = if path.join(LOCK).is_file() {
                "the run was stopped before it started: no config.toml; start it again with --out"
            } else {
                "no run to resume: no config.toml; use the folder given as --out"
            };
            return Err(Error::file(path, advice));
        }
        let folder = RunDir::locked(path)?;
        files::remove_leftovers(path);
        Ok(folder)
    }

    /// The folder of a run written by another process: rank 0 of several.
    pub fn of_other(path: &Path) -> RunDir {
        RunDir { path: path.to_path_buf(), _lock: None }
    }

    /// A folder that cannot exist, for trainings that write no files.
    pub(super) fn nowhere() -> RunDir {
        RunDir::of_other(Path::new("\0"))
    }

    fn locked(path: &Path) -> Result<RunDir> {
        let at = path.join(LOCK);
        let file = File::options().create(true).truncate(false).write(true).open(&at).map_err(|e| files::explain(path, e))?;
        match file.try_lock() {
            Ok(()) => Ok(RunDir { path: path.to_path_buf(), _lock: Some(file) }),
            Err(std::fs::TryLockError::WouldBlock) => {
                Err(Error::file(path, "another run is writing into this folder; wait for it or choose another --out"))
            }
            // Some network file systems do not support locks; train without one.
            Err(std::fs::TryLockError::Error(_)) => Ok(RunDir { path: path.to_path_buf(), _lock: Some(file) }),
        }
    }

    /// Path of the folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Path of a file in the folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Path of the resolved settings.
    pub fn config(&self) -> PathBuf {
        self.file("config.toml")
    }

    /// Path of the resolved recipe, as a file for `--recipe`.
    pub fn recipe(&self) -> PathBuf {
        self.file(super::recipe::FILE)
    }

    /// Path of the model after the last epoch.
    pub fn last(&self) -> PathBuf {
        self.file("last.safetensors")
    }

    /// Path of the best model on validation.
    pub fn best(&self) -> PathBuf {
        self.file("best.safetensors")
    }

    /// Path of the model of averaged weights after the last epoch.
    pub fn ema(&self) -> PathBuf {
        self.file("ema.safetensors")
    }

    /// Path of an epoch's snapshot.
    pub fn snapshot(&self, epoch: usize) -> PathBuf {
        self.file(&snapshots::file_name(epoch))
    }

    /// Path of the checkpoint, which contains all that resuming needs.
    pub fn state(&self) -> PathBuf {
        self.file("state.safetensors")
    }

    /// Path of the metrics, one row per epoch.
    pub fn metrics(&self) -> PathBuf {
        self.file("metrics.csv")
    }

    /// Path of the list of unreadable images.
    pub fn broken(&self) -> PathBuf {
        self.file("broken.txt")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_serves_one_run_at_a_time_and_only_when_empty() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a/b");
        let first = RunDir::create(&path).unwrap();
        assert!(RunDir::create(&path).unwrap_err().to_string().contains("another run"));
        std::fs::write(first.config(), "").unwrap();
        assert!(RunDir::open(&path).unwrap_err().to_string().contains("another run"));
        drop(first);
        assert!(RunDir::create(&path).unwrap_err().to_string().contains("--resume"));
        std::fs::write(path.join(".state.safetensors.1-2.part"), "half").unwrap();
        let again = RunDir::open(&path).unwrap();
        assert!(!path.join(".state.safetensors.1-2.part").exists());
        drop(again);
        std::fs::remove_file(path.join("config.toml")).unwrap();
        // Killed while writing its settings.
        std::fs::write(path.join(".config.toml.1-2.part"), "half").unwrap();
        assert!(RunDir::open(&path).unwrap_err().to_string().contains("again with --out"));
        RunDir::create(&path).unwrap();
        assert!(!path.join(".config.toml.1-2.part").exists());
        std::fs::write(path.join(".config.toml.1-2.part"), "half").unwrap();
        std::fs::write(path.join("holiday.jpg"), "").unwrap();
        let error = RunDir::create(&path).unwrap_err().to_string();
        assert!(error.contains("holiday.jpg") && path.join(".config.toml.1-2.part").exists(), "{error}");
        assert!(RunDir::create(&path).unwrap_err().to_string().contains("holiday.jpg"));
        assert!(RunDir::open(parent.path()).unwrap_err().to_string().contains("no run"));
    }

    #[test]
    fn fresh_folders_count_up() {
        let parent = tempfile::tempdir().unwrap();
        let runs = parent.path().join("runs");
        let one = RunDir::fresh(&runs, "paper").unwrap();
        let two = RunDir::fresh(&runs, "paper").unwrap();
        assert!(one.path().ends_with("runs/paper-1") && two.path().ends_with("runs/paper-2"));
        std::fs::write(parent.path().join("file"), "").unwrap();
        assert!(RunDir::create(&parent.path().join("file/x")).is_err());
    }
}

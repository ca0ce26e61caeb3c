//! Writes files whole or not at all: beside, then renamed. Whoever looks, at any moment, sees the old file or the new one.

mod regular;

pub use regular::{open_regular, read_regular, read_text};

use crate::{Error, Result};
use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How the name of a file being written ends. A killed process may leave one behind; see [`remove_leftovers`].
const ENDING: &str = ".part";

/// Whether a file must be on the disk itself before the call returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sync {
    /// It is: even a power cut cannot harm it.
    Disk,
    /// The system writes it when it likes: whole after a killed process, not surely after a power cut.
    Later,
}

/// Files that this process is writing at the moment, under the names that they have until they are whole.
static UNFINISHED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

fn unfinished() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes what is half-written, for a program that is told to end: what stood at the files' places stays. Nothing can be written
/// afterwards: whoever tries waits for the end of the process.
pub fn abandon() {
    let parts = unfinished();
    for part in parts.iter() {
        let _ = std::fs::remove_file(part);
    }
    // Never given back, so that no file is begun, and none renamed, behind our back.
    std::mem::forget(parts);
}

/// Writes `path` through `write`: into a file of a unique name beside it, forced to the disk, then renamed over `path`. Where
/// `path` is a symbolic link, the file that it leads to is written.
///
/// # Errors
/// What the system said, with `path`; for a full disk or an unwritable folder, what to do. Nothing is left behind, and a
/// file that stood at `path` before still does.
pub fn write_whole(path: impl AsRef<Path>, write: impl FnOnce(&mut (dyn Write + Send)) -> io::Result<()>) -> Result<()> {
    write_whole_with(path, Sync::Disk, write)
}

/// [`write_whole`], with a choice of when it must be on the disk.
///
/// # Errors
/// As [`write_whole`].
pub fn write_whole_with(
    path: impl AsRef<Path>,
    sync: Sync,
    write: impl FnOnce(&mut (dyn Write + Send)) -> io::Result<()>,
) -> Result<()> {
    Beside::write(path.as_ref(), sync, write)?.take_place()
}

/// A file that is whole and has not taken its place yet, so that several can take theirs when all are whole. Dropped before, it
/// is removed.
#[derive(Debug)]
pub(crate) struct Beside {
    path: PathBuf,
    part: PathBuf,
    sync: Sync,
}

impl Beside {
    /// Writes the file that shall be `path` through `write`, beside it.
    ///
    /// # Errors
    /// As [`write_whole`].
    pub(crate) fn write(
        path: &Path,
        sync: Sync,
        write: impl FnOnce(&mut (dyn Write + Send)) -> io::Result<()>,
    ) -> Result<Beside> {
        let path = behind_links(path);
        let (file, part) = create_beside(&path).map_err(|e| explain(&path, e))?;
        let beside = Beside { path, part, sync };
        fill(file, sync, write).map_err(|e| explain(&beside.path, e))?;
        Ok(beside)
    }

    /// Puts it where it belongs, over whatever stands there.
    ///
    /// # Errors
    /// What the system said.
    pub(crate) fn take_place(self) -> Result<()> {
        // Held until it has its own name: a part that is being abandoned must not appear as whole.
        let parts = unfinished();
        let done = std::fs::rename(&self.part, &self.path);
        drop(parts);
        done.map_err(|e| explain(&self.path, e))?;
        if self.sync == Sync::Disk {
            sync_folder(&self.path);
        }
        Ok(())
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        unfinished().remove(&self.part);
        // Best effort, and nothing is there after a rename: the error that brought us here is the one that matters.
        let _ = std::fs::remove_file(&self.part);
    }
}

/// Forces a file that was written with [`Sync::Later`] to the disk.
///
/// # Errors
/// What the system said.
pub fn force_to_disk(path: impl AsRef<Path>) -> Result<()> {
    let path = path.as_ref();
    File::open(path).and_then(|file| file.sync_all()).map_err(|e| explain(path, e))?;
    sync_folder(path);
    Ok(())
}

/// Removes what killed processes left half-written in `folder`. Only for a folder that nobody else writes into.
pub fn remove_leftovers(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') && name.ends_with(ENDING) {
            let _ = std::fs::remove_file(&path);
        }
    }
}

/// The place of a file, through symbolic links, at most as many as Linux follows.
fn behind_links(path: &Path) -> PathBuf {
    let mut path = path.to_path_buf();
    for _ in 0..40 {
        let Ok(target) = std::fs::read_link(&path) else { break };
        path = path.parent().unwrap_or(Path::new("")).join(target);
    }
    path
}

/// Creates a new file of a name that nobody uses in the folder of `path`.
fn create_beside(path: &Path) -> io::Result<(File, PathBuf)> {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "this names no file"))?;
    if path.is_dir() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "there is a folder of this name; give the name of a file"));
    }
    loop {
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let part = path.with_file_name(format!(".{}.{}-{number}{ENDING}", name.to_string_lossy(), std::process::id()));
        let mut parts = unfinished();
        match OpenOptions::new().write(true).create_new(true).open(&part) {
            // A leftover of a killed process that had our number: take the next name.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
            Ok(file) => {
                parts.insert(part.clone());
                return Ok((file, part));
            }
        }
    }
}

/// Lets `write` fill `file` and forces it to the disk if asked, so that no crash after the rename can leave an empty file.
fn fill(file: File, sync: Sync, write: impl FnOnce(&mut (dyn Write + Send)) -> io::Result<()>) -> io::Result<()> {
    let mut buffered = BufWriter::with_capacity(1 << 20, file);
    write(&mut buffered)?;
    let file = buffered.into_inner().map_err(|e| e.into_error())?;
    if sync == Sync::Disk { file.sync_all() } else { Ok(()) }
}

/// Forces the rename itself to the disk where folders can be opened; without it the old file may come back after a power cut.
fn sync_folder(path: &Path) {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
}

/// Says what to do where the system's words alone do not.
pub(crate) fn explain(path: &Path, error: io::Error) -> Error {
    let advice = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "no space left; free some, or write to another disk",
        io::ErrorKind::PermissionDenied => "not allowed to write here; choose another folder or change its permissions",
        io::ErrorKind::ReadOnlyFilesystem => "this file system is read-only; choose another folder",
        io::ErrorKind::NotFound => "the folder does not exist; make it first",
        io::ErrorKind::NotADirectory => "a part of this path is a file, not a folder; choose another",
        _ => return Error::io(path, error),
    };
    Error::file(path, format!("cannot be written: {advice} ({error})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn the_new_file_replaces_the_old_one_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        write_whole(&path, |w| w.write_all(b"old")).unwrap();
        write_whole(&path, |w| w.write_all(b"new")).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(names(folder.path()), ["a.bin"]);
    }

    #[test]
    fn a_failure_half_way_keeps_the_old_file_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        write_whole(&path, |w| w.write_all(b"old")).unwrap();
        let error = write_whole(&path, |w| {
            w.write_all(&vec![1; 3 << 20])?;
            Err(io::ErrorKind::StorageFull.into())
        });
        let message = error.unwrap_err().to_string();
        assert!(message.contains("a.bin") && message.contains("no space left"), "{message}");
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(names(folder.path()), ["a.bin"]);
    }

    #[test]
    fn a_full_disk_is_named_as_such() {
        // Linux keeps a device that is always full; a writer that passes its error on must give our words.
        let Ok(mut full) = OpenOptions::new().write(true).open("/dev/full") else { return };
        let folder = tempfile::tempdir().unwrap();
        let message = write_whole(folder.path().join("x"), |_| full.write_all(&[0; 9])).unwrap_err().to_string();
        assert!(message.contains("no space left"), "{message}");
    }

    #[test]
    fn a_missing_folder_and_a_folder_in_the_way_say_so() {
        let folder = tempfile::tempdir().unwrap();
        let missing = write_whole(folder.path().join("no/such/x"), |_| Ok(())).unwrap_err().to_string();
        assert!(missing.contains("the folder does not exist"), "{missing}");
        let in_the_way = write_whole(folder.path(), |_| Ok(())).unwrap_err().to_string();
        assert!(in_the_way.contains("there is a folder of this name"), "{in_the_way}");
        std::fs::write(folder.path().join("f"), "").unwrap();
        let file = write_whole(folder.path().join("f/x"), |_| Ok(())).unwrap_err().to_string();
        assert!(file.contains("not a folder"), "{file}");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_and_what_it_leads_to_is_written() {
        let (folder, far) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (link, second, target) = (folder.path().join("link"), folder.path().join("second"), far.path().join("a.bin"));
        std::os::unix::fs::symlink(&target, &link).unwrap();
        std::os::unix::fs::symlink("link", &second).unwrap();
        // At first it leads to nothing.
        for content in [b"old", b"new"] {
            write_whole(&second, |w| w.write_all(content)).unwrap();
            assert_eq!(std::fs::read(&target).unwrap(), content);
        }
        assert!(link.is_symlink() && second.is_symlink());
        assert_eq!((names(folder.path()).len(), names(far.path())), (2, vec!["a.bin".to_string()]));
    }

    #[test]
    fn leftovers_go_and_all_else_stays() {
        let folder = tempfile::tempdir().unwrap();
        for name in [".a.safetensors.123-4.part", "mine.part", ".hidden"] {
            std::fs::write(folder.path().join(name), "x").unwrap();
        }
        remove_leftovers(folder.path());
        assert_eq!(names(folder.path()), [".hidden", "mine.part"]);
    }
}

//! Atomic file replacement: the content is written to a temporary file and renamed. Readers always see either the old file or the
//! new one.
//!
//! A killed process leaves its temporary file behind. The writer holds a lock on it that ends with the process, so the next write
//! of the same name finds and removes such leftovers.

use crate::{Error, Result};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Suffix of temporary file names. A killed process may leave one behind; see [`remove_leftovers`].
const ENDING: &str = ".part";

/// How long to retry a rename on Windows while another program has the file open.
const PATIENCE: Duration = Duration::from_secs(2);

/// When a file must reach the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sync {
    /// Before the call returns: the file survives a power failure.
    Disk,
    /// When the system decides: the file survives a killed process, but not necessarily a power failure.
    Later,
}

/// Temporary files that this process is currently writing.
static UNFINISHED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

fn unfinished() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes all temporary files before the program exits; the target files keep their old content. Writing is no longer possible
/// afterwards: a later write blocks until the process ends.
pub fn abandon() {
    let parts = unfinished();
    for part in parts.iter() {
        let _ = std::fs::remove_file(part);
    }
    // Never released, so that no file is created or renamed afterwards.
    std::mem::forget(parts);
}

/// Atomically replaces `path` with the output of `write`: written to a uniquely named temporary file in the same folder, flushed
/// to disk, then renamed. A symbolic link is followed, and its target is replaced. A pipe or device is written directly.
///
/// # Errors
/// The system's error with `path`; for a full disk or an unwritable folder, with advice. No temporary file is left behind, and an
/// existing file at `path` is kept.
pub fn write_atomic(path: impl AsRef<Path>, write: impl FnOnce(&mut (dyn Write + Send)) -> io::Result<()>) -> Result<()> {
    write_atomic_with(path, Sync::Disk, write)
}

/// [`write_atomic`] with a choice of when the file must be on the disk.
///
/// # Errors
/// Like [`write_atomic`].
pub fn write_atomic_with(
    path: impl AsRef<Path>,
    sync: Sync,
    write: impl FnOnce(&mut (dyn Write + Send)) -> io::Result<()>,
) -> Result<()> {
    match open_special(&behind_links(path.as_ref()))? {
        Some(file) => fill(file, Sync::Later, write).map(drop).map_err(|e| explain(path.as_ref(), e)),
        None => TempFile::write(path.as_ref(), sync, write)?.take_place(),
    }
}

/// Whether a target is neither a file nor a folder, but a pipe or a device.
fn is_special(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir())
}

/// Opens a pipe or device to be written directly: replacing it would turn it into a file.
fn open_special(path: &Path) -> Result<Option<File>> {
    is_special(path).then(|| OpenOptions::new().write(true).open(path).map_err(|e| explain(path, e))).transpose()
}

/// A complete temporary file that has not been renamed yet, so that several files can be put in place together. Dropping it
/// removes the file.
#[derive(Debug)]
pub struct TempFile {
    path: PathBuf,
    part: PathBuf,
    sync: Sync,
    /// Kept open until the rename, since its lock marks it as in use.
    file: Option<File>,
}

impl TempFile {
    /// Writes the temporary file for `path` through `write`.
    ///
    /// # Errors
    /// Like [`write_atomic`].
    pub fn write(path: &Path, sync: Sync, write: impl FnOnce(&mut (dyn Write + Send)) -> io::Result<()>) -> Result<TempFile> {
        let path = behind_links(path);
        if is_special(&path) {
            return Err(Error::file(path, "this is a pipe or a device, not a file; choose another name"));
        }
        let (file, part) = create_beside(&path).map_err(|e| explain(&path, e))?;
        let mut temp = TempFile { path, part, sync, file: None };
        temp.file = Some(fill(file, sync, write).map_err(|e| explain(&temp.path, e))?);
        Ok(temp)
    }

    /// Renames it to its target, replacing an existing file.
    ///
    /// # Errors
    /// The system's error.
    pub fn take_place(mut self) -> Result<()> {
        if cfg!(windows) {
            // On Windows a lock blocks readers, even under the new name.
            self.file = None;
        }
        // Held until the rename is done: a file being abandoned must not appear as complete.
        let parts = unfinished();
        let done = replace(&self.part, &self.path);
        drop(parts);
        done.map_err(|e| explain(&self.path, e))?;
        if self.sync == Sync::Disk {
            sync_folder(&self.path);
        }
        Ok(())
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        self.file = None;
        unfinished().remove(&self.part);
        // Best effort. After a rename there is nothing to remove; otherwise the original error matters more.
        let _ = std::fs::remove_file(&self.part);
    }
}

/// File that is written piece by piece and replaces its target only when [committed](Self::commit). Dropping it before keeps an
/// existing file at the target.
///
/// A target that is not a regular file, such as a pipe or a device, is written directly: it cannot be replaced.
#[derive(Debug)]
pub struct AtomicFile {
    path: PathBuf,
    /// `None` if the target is written directly.
    temp: Option<TempFile>,
    out: BufWriter<File>,
}

impl AtomicFile {
    /// Starts a file for `path`.
    ///
    /// # Errors
    /// Like [`write_atomic`].
    pub fn create(path: &Path) -> Result<AtomicFile> {
        let path = behind_links(path);
        if let Some(file) = open_special(&path)? {
            return Ok(AtomicFile { path, temp: None, out: BufWriter::new(file) });
        }
        let (file, part) = create_beside(&path).map_err(|e| explain(&path, e))?;
        let temp = TempFile { path: path.clone(), part, sync: Sync::Disk, file: None };
        Ok(AtomicFile { path, temp: Some(temp), out: BufWriter::with_capacity(1 << 16, file) })
    }

    /// Path of the target.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Flushes the content to disk and puts the file in place.
    ///
    /// # Errors
    /// Like [`write_atomic`].
    pub fn commit(self) -> Result<()> {
        let AtomicFile { path, temp, out } = self;
        let file = out.into_inner().map_err(|e| explain(&path, e.into_error()))?;
        let Some(mut temp) = temp else { return Ok(()) };
        file.sync_all().map_err(|e| explain(&path, e))?;
        temp.file = Some(file);
        temp.take_place()
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Flushes a file written with [`Sync::Later`] to the disk.
///
/// # Errors
/// The system's error.
pub fn force_to_disk(path: impl AsRef<Path>) -> Result<()> {
    let path = path.as_ref();
    // Windows syncs only files opened for writing; elsewhere read-only files can be synced too.
    let file = OpenOptions::new().write(true).open(path).or_else(|_| File::open(path));
    file.and_then(|file| file.sync_all()).map_err(|e| explain(path, e))?;
    sync_folder(path);
    Ok(())
}

/// Removes temporary files of killed processes in `folder`. Only for a folder without other writers.
pub fn remove_leftovers(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten().filter(|entry| is_leftover(&entry.file_name())) {
        let _ = std::fs::remove_file(entry.path());
    }
}

/// Whether this is the name of a temporary file, in use or left over: `.NAME.PROCESS-NUMBER.part`.
pub fn is_leftover(name: &OsStr) -> bool {
    of_part(&name.to_string_lossy()).is_some()
}

/// The target name of a temporary file.
fn of_part(name: &str) -> Option<&str> {
    let (name, numbers) = name.strip_prefix('.')?.strip_suffix(ENDING)?.rsplit_once('.')?;
    let (process, number) = numbers.split_once('-')?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (is_number(process) && is_number(number)).then_some(name)
}

/// Removes temporary files for `path` whose process has died, which releases the lock.
fn remove_leftovers_of(path: &Path) {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let (Ok(entries), name) = (std::fs::read_dir(folder), name.to_string_lossy()) else { return };
    // On network file systems a process may acquire its own locks again.
    let ours = |name: &OsStr| unfinished().iter().any(|part| part.file_name() == Some(name));
    for entry in entries.flatten().filter(|entry| !ours(&entry.file_name())) {
        if of_part(&entry.file_name().to_string_lossy()) == Some(&*name)
            && entry.file_type().is_ok_and(|kind| kind.is_file())
            && let Ok(file) = OpenOptions::new().write(true).open(entry.path())
            && file.try_lock().is_ok()
        {
            // While the lock is held, so that no other process starts writing to it.
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// Renames a file over another. On Windows this fails temporarily while another program, such as a virus scanner, has either file
/// open.
fn replace(from: &Path, to: &Path) -> io::Result<()> {
    let mut waited = Duration::ZERO;
    loop {
        match std::fs::rename(from, to) {
            Err(error) if cfg!(windows) && error.kind() == io::ErrorKind::PermissionDenied && waited < PATIENCE => {
                std::thread::sleep(PATIENCE / 20);
                waited += PATIENCE / 20;
            }
            done => return done,
        }
    }
}

/// Resolves symbolic links, at most as many as Linux follows.
fn behind_links(path: &Path) -> PathBuf {
    let mut path = path.to_path_buf();
    for _ in 0..40 {
        let Ok(target) = std::fs::read_link(&path) else { break };
        path = path.parent().unwrap_or(Path::new("")).join(target);
    }
    path
}

/// Creates a uniquely named temporary file in the folder of `path`.
fn create_beside(path: &Path) -> io::Result<(File, PathBuf)> {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "this path has no file name"))?;
    if path.is_dir() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "this is a folder; use a file name"));
    }
    remove_leftovers_of(path);
    loop {
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let part = path.with_file_name(format!(".{}.{}-{number}{ENDING}", name.to_string_lossy(), std::process::id()));
        let mut parts = unfinished();
        match OpenOptions::new().write(true).create_new(true).open(&part) {
            // A leftover of a killed process with the same ID: try the next name.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
            Ok(file) => {
                // Without lock support there is no leftover detection either. If another process holds the lock, it is about to
                // remove the file as a leftover.
                if matches!(file.try_lock(), Err(TryLockError::WouldBlock)) || !part.exists() {
                    continue;
                }
                parts.insert(part.clone());
                return Ok((file, part));
            }
        }
    }
}

/// Runs `write` on `file` and flushes it to disk if requested, so that no crash after the rename can leave an empty file.
fn fill(file: File, sync: Sync, write: impl FnOnce(&mut (dyn Write + Send)) -> io::Result<()>) -> io::Result<File> {
    let mut buffered = BufWriter::with_capacity(1 << 20, file);
    write(&mut buffered)?;
    let file = buffered.into_inner().map_err(|e| e.into_error())?;
    if sync == Sync::Disk {
        file.sync_all()?;
    }
    Ok(file)
}

/// Flushes the rename to disk where folders can be opened; otherwise the old file may reappear after a power failure.
fn sync_folder(path: &Path) {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
}

/// Adds advice where the system's message alone is not enough.
pub fn explain(path: &Path, error: io::Error) -> Error {
    let advice = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "no space left; free some, or write to another disk",
        io::ErrorKind::PermissionDenied if cfg!(windows) => {
            "permission denied, or another program has the file open; close it, choose another folder or change its permissions"
        }
        io::ErrorKind::PermissionDenied => "permission denied; choose another folder or change its permissions",
        io::ErrorKind::ReadOnlyFilesystem => "this file system is read-only; choose another folder",
        io::ErrorKind::NotFound => "the folder does not exist; create it first",
        io::ErrorKind::NotADirectory => "a component of this path is a file, not a folder; choose another path",
        _ => return Error::io(path, error),
    };
    Error::file(path, format!("cannot write: {advice} ({error})"))
}

#[cfg(test)]
mod tests;

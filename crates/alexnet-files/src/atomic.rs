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

/// Opens a target that is not a regular file, such as a pipe or a device: it is written directly, since replacing it would turn
/// it into a file.
fn open_special(path: &Path) -> Result<Option<File>> {
    let is_special = std::fs::metadata(path).is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir());
    is_special.then(|| OpenOptions::new().write(true).open(path).map_err(|e| explain(path, e))).transpose()
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
        if std::fs::metadata(&path).is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir()) {
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
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_written_in_pieces_appears_when_committed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        std::fs::write(&path, b"old").unwrap();
        let mut dropped = AtomicFile::create(&path).unwrap();
        dropped.write_all(b"half").unwrap();
        dropped.flush().unwrap();
        drop(dropped);
        assert_eq!((std::fs::read(&path).unwrap(), names(folder.path())), (b"old".to_vec(), vec!["a.csv".to_string()]));
        let mut file = AtomicFile::create(&path).unwrap();
        file.write_all(b"one\n").unwrap();
        file.write_all(b"two\n").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        file.commit().unwrap();
        assert_eq!((std::fs::read(&path).unwrap(), names(folder.path())), (b"one\ntwo\n".to_vec(), vec!["a.csv".to_string()]));
    }

    /// Replacing a device by a file would take it from every other program.
    #[cfg(unix)]
    #[test]
    fn a_device_is_written_and_not_replaced() {
        use std::os::unix::fs::FileTypeExt;
        let null = Path::new("/dev/null");
        let mut file = AtomicFile::create(null).unwrap();
        file.write_all(b"x").unwrap();
        file.commit().unwrap();
        assert!(std::fs::metadata(null).unwrap().file_type().is_char_device());
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_is_written_and_not_replaced() {
        use std::os::unix::fs::FileTypeExt;
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || std::fs::read(pipe).unwrap()
        });
        write_atomic(&pipe, |out| out.write_all(b"through")).unwrap();
        assert_eq!(reader.join().unwrap(), b"through");
        assert!(TempFile::write(&pipe, Sync::Disk, |_| Ok(())).unwrap_err().to_string().contains("not a file"));
        assert!(std::fs::metadata(&pipe).unwrap().file_type().is_fifo());
        assert_eq!(names(folder.path()), ["pipe"]);
    }

    #[test]
    fn the_new_file_replaces_the_old_one_without_leftovers() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        write_atomic(&path, |w| w.write_all(b"old")).unwrap();
        write_atomic(&path, |w| w.write_all(b"new")).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(names(folder.path()), ["a.bin"]);
    }

    #[test]
    fn a_partial_failure_keeps_the_old_file_without_leftovers() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        write_atomic(&path, |w| w.write_all(b"old")).unwrap();
        let error = write_atomic(&path, |w| {
            w.write_all(&vec![1; 3 << 20])?;
            Err(io::ErrorKind::StorageFull.into())
        });
        let message = error.unwrap_err().to_string();
        assert!(message.contains("a.bin") && message.contains("no space left"), "{message}");
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(names(folder.path()), ["a.bin"]);
    }

    #[test]
    fn a_full_disk_is_reported() {
        // Linux has a device that is always full; an error passed on by the writer must produce our message.
        let Ok(mut full) = OpenOptions::new().write(true).open("/dev/full") else { return };
        let folder = tempfile::tempdir().unwrap();
        let message = write_atomic(folder.path().join("x"), |_| full.write_all(&[0; 9])).unwrap_err().to_string();
        assert!(message.contains("no space left"), "{message}");
    }

    #[test]
    fn a_missing_folder_and_a_folder_as_target_are_reported() {
        let folder = tempfile::tempdir().unwrap();
        let missing = write_atomic(folder.path().join("no/such/x"), |_| Ok(())).unwrap_err().to_string();
        assert!(missing.contains("the folder does not exist"), "{missing}");
        let in_the_way = write_atomic(folder.path(), |_| Ok(())).unwrap_err().to_string();
        assert!(in_the_way.contains("this is a folder"), "{in_the_way}");
        std::fs::write(folder.path().join("f"), "").unwrap();
        let file = write_atomic(folder.path().join("f/x"), |_| Ok(())).unwrap_err().to_string();
        assert!(file.contains("not a folder"), "{file}");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_kept_and_its_target_is_written() {
        let (folder, far) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (link, second, target) = (folder.path().join("link"), folder.path().join("second"), far.path().join("a.bin"));
        std::os::unix::fs::symlink(&target, &link).unwrap();
        std::os::unix::fs::symlink("link", &second).unwrap();
        // Initially a dangling link.
        for content in [b"old", b"new"] {
            write_atomic(&second, |w| w.write_all(content)).unwrap();
            assert_eq!(std::fs::read(&target).unwrap(), content);
        }
        assert!(link.is_symlink() && second.is_symlink());
        assert_eq!((names(folder.path()).len(), names(far.path())), (2, vec!["a.bin".to_string()]));
    }

    #[test]
    fn only_leftovers_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        for name in [".a.safetensors.123-4.part", "mine.part", ".hidden", ".download.part"] {
            std::fs::write(folder.path().join(name), "x").unwrap();
        }
        remove_leftovers(folder.path());
        assert_eq!(names(folder.path()), [".download.part", ".hidden", "mine.part"]);
    }

    #[test]
    fn the_next_write_removes_leftovers_of_killed_processes() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in [".a.bin.123-4.part", ".b.bin.123-4.part", ".a.bin.part", ".a.bin.x-1.part"] {
            std::fs::write(at(name), "half").unwrap();
        }
        // Still in use, by another process or this one.
        let alive = File::create(at(".a.bin.7-0.part")).unwrap();
        alive.lock().unwrap();
        let other = TempFile::write(&at("a.bin"), Sync::Later, |out| out.write_all(b"other")).unwrap();
        write_atomic(at("a.bin"), |w| w.write_all(b"new")).unwrap();
        let kept = [".a.bin.7-0.part", ".a.bin.part", ".a.bin.x-1.part", ".b.bin.123-4.part", "a.bin"];
        let hidden = other.part.file_name().unwrap().to_string_lossy().into_owned();
        assert_eq!(names(folder.path()).into_iter().filter(|name| *name != hidden).collect::<Vec<_>>(), kept);
        other.take_place().unwrap();
        assert_eq!(std::fs::read(at("a.bin")).unwrap(), b"other");
        drop(alive);
        // A process that another test starts at this moment holds the lock, too, until it runs its program.
        let cleared = (0..500).any(|_| {
            write_atomic(at("a.bin"), |w| w.write_all(b"last")).unwrap();
            std::thread::sleep(std::time::Duration::from_millis(2));
            names(folder.path()) == kept[1..]
        });
        assert!(cleared, "{:?}", names(folder.path()));
    }

    #[test]
    fn an_earlier_file_can_be_flushed_to_disk() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        write_atomic_with(&path, Sync::Later, |w| w.write_all(b"new")).unwrap();
        force_to_disk(&path).unwrap();
        let mut readonly = std::fs::metadata(&path).unwrap().permissions();
        readonly.set_readonly(true);
        std::fs::set_permissions(&path, readonly).unwrap();
        if cfg!(unix) {
            force_to_disk(&path).unwrap();
        }
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert!(force_to_disk(folder.path().join("gone")).unwrap_err().to_string().contains("gone"));
    }
}

//! Files written whole or not at all: beside, then renamed. Whoever looks, at any moment, sees the old file or the new one.
//!
//! A process that is killed leaves the file beside. Whoever writes it holds a lock on it, which ends with the process: so the next one
//! that writes a file of the same name finds what is left over, and removes it.

use crate::{Error, Result};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How the name of a file being written ends. A killed process may leave one behind; see [`remove_leftovers`].
const ENDING: &str = ".part";

/// How long a file that somebody else looks at on Windows is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

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
pub fn write_atomic(path: impl AsRef<Path>, write: impl FnOnce(&mut (dyn Write + Send)) -> io::Result<()>) -> Result<()> {
    write_atomic_with(path, Sync::Disk, write)
}

/// [`write_atomic`], with a choice of when it must be on the disk.
///
/// # Errors
/// As [`write_atomic`].
pub fn write_atomic_with(
    path: impl AsRef<Path>,
    sync: Sync,
    write: impl FnOnce(&mut (dyn Write + Send)) -> io::Result<()>,
) -> Result<()> {
    TempFile::write(path.as_ref(), sync, write)?.take_place()
}

/// A file that is whole and has not taken its place yet, so that several can take theirs when all are whole. Dropped before, it
/// is removed.
#[derive(Debug)]
pub struct TempFile {
    path: PathBuf,
    part: PathBuf,
    sync: Sync,
    /// Open until it has its place, since its lock says that it is not left over.
    file: Option<File>,
}

impl TempFile {
    /// Writes the file that shall be `path` through `write`, beside it.
    ///
    /// # Errors
    /// As [`write_atomic`].
    pub fn write(path: &Path, sync: Sync, write: impl FnOnce(&mut (dyn Write + Send)) -> io::Result<()>) -> Result<TempFile> {
        let path = behind_links(path);
        let (file, part) = create_beside(&path).map_err(|e| explain(&path, e))?;
        let mut beside = TempFile { path, part, sync, file: None };
        beside.file = Some(fill(file, sync, write).map_err(|e| explain(&beside.path, e))?);
        Ok(beside)
    }

    /// Puts it where it belongs, over whatever stands there.
    ///
    /// # Errors
    /// What the system said.
    pub fn take_place(mut self) -> Result<()> {
        if cfg!(windows) {
            // There a lock keeps readers out, also under the new name.
            self.file = None;
        }
        // Held until it has its own name: a part that is being abandoned must not appear as whole.
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
    // Windows syncs only what is open for writing; elsewhere a file that may not be written can be synced, too.
    let file = OpenOptions::new().write(true).open(path).or_else(|_| File::open(path));
    file.and_then(|file| file.sync_all()).map_err(|e| explain(path, e))?;
    sync_folder(path);
    Ok(())
}

/// Removes what killed processes left half-written in `folder`. Only for a folder that nobody else writes into.
pub fn remove_leftovers(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten().filter(|entry| is_leftover(&entry.file_name())) {
        let _ = std::fs::remove_file(entry.path());
    }
}

/// Whether a file of this name is one that is being written, or was when its process was killed: `.NAME.PROCESS-NUMBER.part`.
pub fn is_leftover(name: &OsStr) -> bool {
    of_part(&name.to_string_lossy()).is_some()
}

/// The name of the file that a part was to become.
fn of_part(name: &str) -> Option<&str> {
    let (name, numbers) = name.strip_prefix('.')?.strip_suffix(ENDING)?.rsplit_once('.')?;
    let (process, number) = numbers.split_once('-')?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (is_number(process) && is_number(number)).then_some(name)
}

/// Removes parts of `path` that processes left which are gone: their locks are.
fn remove_leftovers_of(path: &Path) {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let (Ok(entries), name) = (std::fs::read_dir(folder), name.to_string_lossy()) else { return };
    // On network disks a process may get its own locks again.
    let ours = |name: &OsStr| unfinished().iter().any(|part| part.file_name() == Some(name));
    for entry in entries.flatten().filter(|entry| !ours(&entry.file_name())) {
        if of_part(&entry.file_name().to_string_lossy()) == Some(&*name)
            && entry.file_type().is_ok_and(|kind| kind.is_file())
            && let Ok(file) = OpenOptions::new().write(true).open(entry.path())
            && file.try_lock().is_ok()
        {
            // While the lock is ours, so that nobody begins to write into it.
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// Renames a file over another. On Windows this fails for moments at which somebody else, such as a virus scanner, looks at either.
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
    remove_leftovers_of(path);
    loop {
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let part = path.with_file_name(format!(".{}.{}-{number}{ENDING}", name.to_string_lossy(), std::process::id()));
        let mut parts = unfinished();
        match OpenOptions::new().write(true).create_new(true).open(&part) {
            // A leftover of a killed process that had our number: take the next name.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
            Ok(file) => {
                // A disk without locks knows no leftovers either. A lock that another process has got first means that it removes
                // the file as one.
                if matches!(file.try_lock(), Err(TryLockError::WouldBlock)) || !part.exists() {
                    continue;
                }
                parts.insert(part.clone());
                return Ok((file, part));
            }
        }
    }
}

/// Lets `write` fill `file` and forces it to the disk if asked, so that no crash after the rename can leave an empty file.
fn fill(file: File, sync: Sync, write: impl FnOnce(&mut (dyn Write + Send)) -> io::Result<()>) -> io::Result<File> {
    let mut buffered = BufWriter::with_capacity(1 << 20, file);
    write(&mut buffered)?;
    let file = buffered.into_inner().map_err(|e| e.into_error())?;
    if sync == Sync::Disk {
        file.sync_all()?;
    }
    Ok(file)
}

/// Forces the rename itself to the disk where folders can be opened; without it the old file may come back after a power cut.
fn sync_folder(path: &Path) {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
}

/// Says what to do where the system's words alone do not.
pub fn explain(path: &Path, error: io::Error) -> Error {
    let advice = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "no space left; free some, or write to another disk",
        io::ErrorKind::PermissionDenied if cfg!(windows) => {
            "not allowed to write here, or another program has the file open; close it, choose another folder or change its permissions"
        }
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
        write_atomic(&path, |w| w.write_all(b"old")).unwrap();
        write_atomic(&path, |w| w.write_all(b"new")).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(names(folder.path()), ["a.bin"]);
    }

    #[test]
    fn a_failure_half_way_keeps_the_old_file_and_leaves_nothing() {
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
    fn a_full_disk_is_named_as_such() {
        // Linux keeps a device that is always full; a writer that passes its error on must give our words.
        let Ok(mut full) = OpenOptions::new().write(true).open("/dev/full") else { return };
        let folder = tempfile::tempdir().unwrap();
        let message = write_atomic(folder.path().join("x"), |_| full.write_all(&[0; 9])).unwrap_err().to_string();
        assert!(message.contains("no space left"), "{message}");
    }

    #[test]
    fn a_missing_folder_and_a_folder_in_the_way_say_so() {
        let folder = tempfile::tempdir().unwrap();
        let missing = write_atomic(folder.path().join("no/such/x"), |_| Ok(())).unwrap_err().to_string();
        assert!(missing.contains("the folder does not exist"), "{missing}");
        let in_the_way = write_atomic(folder.path(), |_| Ok(())).unwrap_err().to_string();
        assert!(in_the_way.contains("there is a folder of this name"), "{in_the_way}");
        std::fs::write(folder.path().join("f"), "").unwrap();
        let file = write_atomic(folder.path().join("f/x"), |_| Ok(())).unwrap_err().to_string();
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
            write_atomic(&second, |w| w.write_all(content)).unwrap();
            assert_eq!(std::fs::read(&target).unwrap(), content);
        }
        assert!(link.is_symlink() && second.is_symlink());
        assert_eq!((names(folder.path()).len(), names(far.path())), (2, vec!["a.bin".to_string()]));
    }

    #[test]
    fn leftovers_go_and_all_else_stays() {
        let folder = tempfile::tempdir().unwrap();
        for name in [".a.safetensors.123-4.part", "mine.part", ".hidden", ".download.part"] {
            std::fs::write(folder.path().join(name), "x").unwrap();
        }
        remove_leftovers(folder.path());
        assert_eq!(names(folder.path()), [".download.part", ".hidden", "mine.part"]);
    }

    #[test]
    fn the_next_file_of_the_same_name_clears_what_a_killed_process_left() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in [".a.bin.123-4.part", ".b.bin.123-4.part", ".a.bin.part", ".a.bin.x-1.part"] {
            std::fs::write(at(name), "half").unwrap();
        }
        // Still being written, by another process or this one.
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
    fn a_file_of_an_earlier_write_is_forced_to_the_disk() {
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

//! A pack while it is being written: `OUT.partial` with the images, and `OUT.partial-index` with an entry for each.
//!
//! The index is the journal of the work: entries are appended to it only after their images are on the disk, so that whatever it
//! holds can be relied upon after the process was killed or the power failed. Images behind the last entry are dropped.

use super::format::{Entry, Footer, Kind, MAGIC};
use super::layout::Whole;
use super::prepare::Prepared;
use crate::read_at::{Window, read_exact_at};
use crate::{Error, Result, escape, files};
use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Images that are written before they must reach the disk.
const SYNC_BYTES: u64 = 64 << 20;
/// Time after which they must.
const SYNC_TIME: Duration = Duration::from_secs(5);
/// Most images left out that are named.
const NAMED: usize = 1000;

/// Contents of a pack in numbers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Totals {
    /// Images in the pack.
    pub images: usize,
    /// Image files that are stored as they were.
    pub kept: usize,
    /// JPEG files that were made.
    pub encoded: usize,
    /// Images that are stored as pixels.
    pub pixels: usize,
    /// Images that could not be decoded.
    pub skipped: usize,
    /// The first of them.
    pub skipped_images: Vec<Skipped>,
}

/// An image that is not in the pack.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Skipped {
    /// Its name in the source.
    pub name: String,
    /// Why it could not be decoded.
    pub reason: String,
}

impl Totals {
    fn add(&mut self, entry: &Entry<'_>) {
        match entry.kind {
            Kind::Kept => self.kept += 1,
            Kind::Encoded => self.encoded += 1,
            Kind::Pixels => self.pixels += 1,
            Kind::Skipped => {
                self.skipped += 1;
                if self.skipped_images.len() < NAMED {
                    self.skipped_images.push(Skipped { name: entry.name.into(), reason: entry.reason.into() });
                }
                return;
            }
        }
        self.images += 1;
    }

    /// Number of entries.
    pub(super) fn entries(&self) -> usize {
        self.images + self.skipped
    }

    /// The contents of a whole pack.
    pub(super) fn of(path: &Path, pack: &Whole) -> Result<Totals> {
        let mut totals = Totals::default();
        pack.entries(path, |entry, _| totals.add(entry))?;
        Ok(totals)
    }
}

/// An image of the source, as the index names it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Member<'a> {
    pub(super) split: u8,
    pub(super) label: u32,
    pub(super) name: &'a str,
}

/// A pack that is being written. Its lock ends with the process.
pub(super) struct Partial {
    out: PathBuf,
    path: PathBuf,
    data: File,
    journal_path: PathBuf,
    journal: File,
    /// Where the next image goes.
    end: u64,
    /// Entries whose images have not been forced to the disk yet.
    pending: Vec<u8>,
    /// Bytes of these images.
    unsynced: u64,
    /// When they last were.
    synced: Option<Instant>,
    pub(super) totals: Totals,
}

impl Partial {
    /// Continues an interrupted pack with this header, or starts one. Also returns why another that was there is not continued.
    ///
    /// # Errors
    /// Another process writes it, or the files cannot be written.
    pub(super) fn open<'a>(
        out: &Path,
        header: &[u8],
        member: &dyn Fn(usize) -> Option<Member<'a>>,
    ) -> Result<(Partial, Option<String>)> {
        let [path, journal_path] = [".partial", ".partial-index"].map(|ending| with_ending(out, ending));
        // What a link leads to is not ours.
        for path in [&path, &journal_path] {
            if path.symlink_metadata().is_ok_and(|file| file.is_symlink()) {
                return Err(Error::file(path, "in the way: a symbolic link; remove it, or choose another name for the pack"));
            }
        }
        let open = |path: &Path| -> Result<File> {
            let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
            let file = file.map_err(|error| files::explain(path, error))?;
            let is_file = file.metadata().map_err(|error| Error::io(path, error))?.is_file();
            if is_file { Ok(file) } else { Err(Error::file(path, "in the way: not a regular file")) }
        };
        let data = open(&path)?;
        // Where the file system has no locks, nothing keeps two runs apart.
        let taken = matches!(data.try_lock(), Err(TryLockError::WouldBlock));
        // A run that has just finished has renamed its file.
        if taken || !is_at(&data, &path) {
            let why = format!("another process is packing {}; wait for it or choose another name", escape::path(out));
            return Err(Error::file(&path, why));
        }
        // A run makes both files before it writes to either; beside an index, the other is ours, if damaged.
        if !journal_path.exists() && !may_be_pack(&data).map_err(|error| Error::io(&path, error))? {
            let why = "in the way: not an unfinished pack; move it elsewhere, or choose another name for the pack";
            return Err(Error::file(&path, why));
        }
        let journal = open(&journal_path)?;
        let start = header.len() as u64;
        let (out, synced) = (out.to_path_buf(), None);
        let (pending, totals) = (Vec::new(), Totals::default());
        let mut partial = Partial { out, path, data, journal_path, journal, end: start, pending, unsynced: 0, synced, totals };
        let dropped = partial.begin(header, member).map_err(|error| unfinished(&partial.path, error))?;
        Ok((partial, dropped))
    }

    /// Brings both files to the state from which the work continues.
    fn begin<'a>(&mut self, header: &[u8], member: &dyn Fn(usize) -> Option<Member<'a>>) -> io::Result<Option<String>> {
        let length = self.data.metadata()?.len();
        let (mut index, mut dropped) = (0, None);
        if self.has_header(header) {
            index = self.resume(length, member)?;
        } else {
            // Less than a header is what a run leaves that was killed at its start.
            dropped = (length > self.end).then(|| "it was made from other images or with other settings".to_string());
            self.data.set_len(0)?;
            self.data.seek(SeekFrom::Start(0))?;
            self.data.write_all(header)?;
        }
        for (file, end) in [(&mut self.data, self.end), (&mut self.journal, index)] {
            file.set_len(end)?;
            file.seek(SeekFrom::End(0))?;
        }
        Ok(dropped)
    }

    fn has_header(&self, header: &[u8]) -> bool {
        let mut found = vec![0; header.len()];
        read_exact_at(&self.data, &mut found, 0).is_ok() && found == header
    }

    /// Takes over the entries of the journal up to the first that is damaged, not of this source, or whose image is not there;
    /// returns their length.
    fn resume<'a>(&mut self, length: u64, member: &dyn Fn(usize) -> Option<Member<'a>>) -> io::Result<u64> {
        let data = self.end;
        let mut entries = 0;
        let (_, end) = self.walk(data, |entry, end| {
            let ours = |m: Member<'_>| (m.split, m.label, m.name) == (entry.split, entry.label, entry.name);
            let is_there = end <= length && member(entries).is_some_and(ours);
            entries += usize::from(is_there);
            is_there
        })?;
        // The last images are verified, in case the disk did not keep its word; readers verify the others.
        let (mut totals, mut image) = (Totals::default(), Vec::new());
        let mut is_intact = |entry: &Entry<'_>, at: u64| {
            image.resize(entry.bytes as usize, 0);
            read_exact_at(&self.data, &mut image, at - u64::from(entry.bytes)).is_ok() && crc32fast::hash(&image) == entry.sum
        };
        let (index, end) = self.walk(data, |entry, at| {
            let taken = totals.entries() < entries && (at + 2 * SYNC_BYTES < end || is_intact(entry, at));
            if taken {
                totals.add(entry);
            }
            taken
        })?;
        (self.totals, self.end) = (totals, end);
        Ok(index)
    }

    /// Goes over the entries of the journal while `take` accepts them, given with the end of their images; returns the ends of the
    /// last accepted one and of its image.
    fn walk(&self, mut data: u64, mut take: impl FnMut(&Entry<'_>, u64) -> bool) -> io::Result<(u64, u64)> {
        let window = Window { file: &self.journal, start: 0, size: self.journal.metadata()?.len(), at: 0 };
        let (mut journal, mut buffer, mut index) = (BufReader::with_capacity(1 << 20, window), Vec::new(), 0);
        while let Ok(Some(entry)) = Entry::read(&mut journal, &mut buffer) {
            let end = data + u64::from(entry.bytes);
            if !take(&entry, end) {
                break;
            }
            (index, data) = (index + entry.size(), end);
        }
        Ok((index, data))
    }

    /// Appends an image. The first one is forced to the disk at once, so that a disk that cannot do that is found at the start.
    pub(super) fn append(&mut self, member: Member<'_>, image: &Result<Prepared, String>) -> Result<()> {
        let (kind, bytes, reason) = match image {
            Ok(Prepared { kind, bytes }) => (*kind, bytes.as_slice(), ""),
            Err(reason) => (Kind::Skipped, [].as_slice(), reason.as_str()),
        };
        let Member { split, label, name } = member;
        let length = u32::try_from(bytes.len()).map_err(|_| Error::Invalid(format!("{name}: larger than 4 GiB")))?;
        let entry = Entry { kind, split, label, bytes: length, sum: crc32fast::hash(bytes), name, reason };
        entry.write(&mut self.pending).map_err(|why| Error::Invalid(format!("{}: {why}", escape::printable(name))))?;
        self.totals.add(&entry);
        self.data.write_all(bytes).map_err(|error| unfinished(&self.path, error))?;
        self.end += bytes.len() as u64;
        self.unsynced += bytes.len() as u64;
        let is_due = self.synced.is_none_or(|synced| synced.elapsed() >= SYNC_TIME);
        if is_due || self.unsynced >= SYNC_BYTES { self.sync() } else { Ok(()) }
    }

    /// Forces the images to the disk, then enters them in the journal.
    pub(super) fn sync(&mut self) -> Result<()> {
        self.data.sync_data().map_err(|error| unfinished(&self.path, error))?;
        self.journal.write_all(&self.pending).map_err(|error| unfinished(&self.journal_path, error))?;
        self.pending.clear();
        (self.unsynced, self.synced) = (0, Some(Instant::now()));
        Ok(())
    }

    /// Appends index and footer, and puts the pack in its place. Returns its size.
    pub(super) fn finish(mut self) -> Result<(Totals, u64)> {
        self.sync()?;
        let failed = |error| unfinished(&self.path, error);
        let length = self.journal.metadata().map_err(failed)?.len();
        let mut index = Window { file: &self.journal, start: 0, size: length, at: 0 };
        let mut out = Summing { of: &self.data, sum: crc32fast::Hasher::new() };
        let copied = io::copy(&mut index, &mut out).map_err(failed)?;
        if copied != length {
            return Err(Error::file(&self.journal_path, "has become shorter; run the same command again"));
        }
        let footer =
            Footer { start: self.end, length, entries: self.totals.entries() as u64, sum: out.sum.finalize() }.to_bytes();
        (&self.data).write_all(&footer).and_then(|()| self.data.sync_all()).map_err(failed)?;
        std::fs::rename(&self.path, &self.out).map_err(|error| files::explain(&self.out, error))?;
        // Not needed any more; the next run would ignore it.
        let _ = std::fs::remove_file(&self.journal_path);
        drop(self.data);
        files::force_to_disk(&self.out)?;
        Ok((self.totals, self.end + length + footer.len() as u64))
    }
}

/// What is written to a file, and its checksum.
struct Summing<'a> {
    of: &'a File,
    sum: crc32fast::Hasher,
}

impl Write for Summing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.of.write(bytes)?;
        self.sum.update(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An error from which the same command continues.
fn unfinished(path: &Path, error: io::Error) -> Error {
    let why = files::explain(path, error).without_path();
    Error::file(path, format!("{why}; the same command continues from here"))
}

/// Whether a file begins as a pack does. A run that was killed at its start leaves less.
fn may_be_pack(file: &File) -> io::Result<bool> {
    let mut start = vec![0; file.metadata()?.len().min(MAGIC.len() as u64) as usize];
    read_exact_at(file, &mut start, 0)?;
    Ok(MAGIC.starts_with(&start))
}

/// The path with something appended to its name.
fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    name.into()
}

/// Whether a file still has this name.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let number = |metadata: io::Result<std::fs::Metadata>| metadata.ok().map(|file| (file.dev(), file.ino()));
    number(file.metadata()).is_some_and(|own| number(std::fs::metadata(path)) == Some(own))
}

/// Whether a file of this name is there.
#[cfg(not(unix))]
fn is_at(_: &File, path: &Path) -> bool {
    path.exists()
}

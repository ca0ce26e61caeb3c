//! The part of a file that has been downloaded.

use super::Failure;
use crate::record::{Record, hash, with_suffix};
use crate::source::{Source, without_secrets};
use alexnet_files::{Error, Result, explain, read_regular, write_atomic_with};
use alexnet_formats::published::{Checksum, Digests, PublishedFile, RunningDigests};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Larger notes are not ours.
const MAX_BYTES: u64 = 1 << 16;

/// A partial file, and its running digests.
#[derive(Debug)]
pub(crate) struct Part {
    path: PathBuf,
    file: File,
    len: u64,
    checksum: Checksum,
    digests: RunningDigests,
    /// Whether its bytes come from several answers.
    patched: bool,
    origin: Option<Origin>,
}

/// Origin of a partial file: `FILE.part.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Origin {
    url: String,
    /// The server's name for this version of the file, for `If-Range`.
    validator: Option<String>,
}

impl Part {
    /// Opens the part `path` of `file`, as an earlier download has left it, or empty.
    ///
    /// # Errors
    /// The system's error.
    pub(crate) fn open(path: &Path, file: &PublishedFile) -> Result<Part> {
        if path.symlink_metadata().is_ok_and(|about| !about.is_file()) {
            return Err(Error::file(path, "not a regular file, so nothing can be downloaded to it; remove it"));
        }
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let opened = opened.map_err(|e| explain(path, e))?;
        let mut digests = RunningDigests::new(&file.checksum);
        let len = hash(&opened, &mut digests).map_err(|e| Error::io(path, e))?;
        let origin = read_regular(&with_suffix(path, ".json"), MAX_BYTES).ok();
        let origin = origin.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Ok(Part { path: path.into(), file: opened, len, checksum: file.checksum, digests, patched: len > 0, origin })
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether its bytes come from several answers, which need not be of the same file.
    pub(super) fn is_patched(&self) -> bool {
        self.patched
    }

    /// Notes that another answer continues this part.
    pub(super) fn patch(&mut self) {
        self.patched = true;
    }

    /// Whether a download from `source` can continue this part: `Some` with the validator for `If-Range`, if there is one.
    ///
    /// Without a validator the pieces may be of different files, which only an expected checksum would show.
    pub(super) fn resumable(&self, source: &Source) -> Option<Option<String>> {
        if self.len == 0 {
            return None;
        }
        let validator = self
            .origin
            .as_ref()
            .filter(|origin| origin.url == without_secrets(&source.url))
            .and_then(|origin| origin.validator.clone());
        (validator.is_some() || source.accept.is_exact()).then_some(validator)
    }

    /// Records where the part comes from, before its first byte is written.
    pub(super) fn describe(&mut self, source: &Source, validator: Option<&str>) -> Result<()> {
        let origin = Origin { url: without_secrets(&source.url), validator: validator.map(Into::into) };
        if self.origin.as_ref() != Some(&origin) {
            let path = with_suffix(&self.path, ".json");
            let text = serde_json::to_string(&origin).map_err(|e| Error::file(&path, e.to_string()))?;
            write_atomic_with(&path, alexnet_files::Sync::Later, |out| out.write_all(text.as_bytes()))?;
            self.origin = Some(origin);
        }
        Ok(())
    }

    /// Appends bytes. They are not buffered, so that a killed process loses none.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(|e| explain(&self.path, e))?;
        self.digests.update(bytes);
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Removes all bytes.
    pub(super) fn clear(&mut self) -> Result<()> {
        let emptied = self.file.set_len(0).and_then(|()| self.file.seek(SeekFrom::Start(0)));
        emptied.map_err(|e| explain(&self.path, e))?;
        (self.len, self.patched, self.digests) = (0, false, RunningDigests::new(&self.checksum));
        Ok(())
    }

    /// Digests of the bytes so far.
    pub(super) fn digests(&self) -> Digests {
        self.digests.clone().finish()
    }

    /// The record of the complete file.
    pub(super) fn record(&self, digests: Digests, url: &str) -> Result<Record> {
        let synced: io::Result<Record> = self.file.sync_all().and_then(|()| Record::new(&self.file, digests, Some(url.into())));
        synced.map_err(|e| explain(&self.path, e))
    }

    /// Renames the complete file to `path`, with its record beside it.
    ///
    /// # Errors
    /// The system's error.
    pub(crate) fn take_place(self, path: &Path, record: &Record) -> Result<()> {
        // The record first: it does not fit an older file, which is then hashed again.
        record.write(path)?;
        std::fs::rename(&self.path, path).map_err(|e| explain(path, e))?;
        let _ = std::fs::remove_file(with_suffix(&self.path, ".json"));
        Ok(())
    }

    /// Removes a part that is of no use for another attempt.
    pub(crate) fn discard(self) {
        let _ = std::fs::remove_file(&self.path);
        let _ = std::fs::remove_file(with_suffix(&self.path, ".json"));
    }
}

impl From<Failure> for String {
    fn from(failure: Failure) -> String {
        match failure {
            Failure::Passing(why) | Failure::Unreachable(why) | Failure::Network(why) | Failure::Content(why) => why,
            Failure::Local(error) => error.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::published;
    use crate::source::Accept;

    #[test]
    fn a_part_continues_with_the_digests_of_its_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alex.pth.part");
        let file = published("lpips").unwrap();
        let source = |url: &str, accept| Source::at(url, accept).unwrap();
        let mine = source("http://a/alex.pth", Accept::Any);
        let mut part = Part::open(&path, file).unwrap();
        assert_eq!(part.resumable(&mine), None);
        part.describe(&mine, Some("\"1\"")).unwrap();
        part.write(b"ab").unwrap();
        drop(part);

        let mut part = Part::open(&path, file).unwrap();
        assert_eq!((part.len(), part.is_patched()), (2, true));
        assert_eq!(part.resumable(&mine), Some(Some("\"1\"".into())));
        assert_eq!(part.resumable(&source("http://b/alex.pth", Accept::Any)), None, "another file, perhaps");
        assert_eq!(part.resumable(&source("http://b/alex.pth", Accept::Published)), Some(None), "its checksum will tell");
        part.write(b"c").unwrap();
        assert_eq!(part.digests().sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        part.clear().unwrap();
        assert!(part.is_empty() && !part.is_patched());
        part.write(b"abc").unwrap();
        let record = part.record(part.digests(), &mine.url).unwrap();
        let target = folder.path().join("alex.pth");
        part.take_place(&target, &record).unwrap();
        assert_eq!(std::fs::read(&target).unwrap(), b"abc");
        assert_eq!(Record::read(&target, &File::open(&target).unwrap()), Some(record));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "no part and no notes are left");
    }

    #[test]
    fn a_full_disk_is_one_clear_error() {
        // Linux has a device that is always full.
        let Ok(file) = OpenOptions::new().write(true).open("/dev/full") else { return };
        let checksum = published("lpips").unwrap().checksum;
        let digests = RunningDigests::new(&checksum);
        let mut part = Part { path: "alex.pth.part".into(), file, len: 0, checksum, digests, patched: false, origin: None };
        let message = part.write(&[0; 9]).unwrap_err().to_string();
        assert!(message.contains("alex.pth.part") && message.contains("no space left"), "{message}");
    }
}

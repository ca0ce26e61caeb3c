//! Records of verified files, so that a file of hundreds of megabytes is hashed once and not at each use.

use alexnet_files::{Error, Result, escape, open_regular, read_regular, write_atomic};
use alexnet_formats::published::{Digests, PublishedFile, RunningDigests};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// Larger records are not ours.
const MAX_BYTES: u64 = 1 << 16;

/// What is known of a file in the cache folder: `FILE.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Address it was downloaded from; none for a file that the user has put there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) url: Option<String>,
    pub(crate) bytes: u64,
    /// Time of the last change, in nanoseconds since 1970: another time means another file.
    modified: Option<u64>,
    #[serde(flatten)]
    pub(crate) digests: Digests,
}

impl Record {
    /// Describes an open file.
    pub(crate) fn new(file: &File, digests: Digests, url: Option<String>) -> io::Result<Record> {
        let (bytes, modified) = stamp(file)?;
        Ok(Record { url, bytes, modified, digests })
    }

    /// The record of a file, if there is one and the file has not changed since.
    pub(crate) fn read(path: &Path, file: &File) -> Option<Record> {
        let bytes = read_regular(&beside(path), MAX_BYTES).ok()?;
        let record: Record = serde_json::from_slice(&bytes).ok()?;
        (stamp(file).ok()? == (record.bytes, record.modified)).then_some(record)
    }

    /// Writes the record of the file `path`.
    ///
    /// # Errors
    /// The system's error.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string(self).map_err(|e| Error::file(path, e.to_string()))? + "\n";
        write_atomic(beside(path), |out| out.write_all(text.as_bytes()))
    }

    /// Hashes a file that has no record.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn of(path: &Path, file: &PublishedFile) -> Result<Record> {
        let (opened, _) = open_regular(path).map_err(|e| Error::io(path, e))?;
        let mut running = RunningDigests::new(&file.checksum);
        hash(&opened, &mut running).map_err(|e| Error::io(path, e))?;
        Record::new(&opened, running.finish(), None).map_err(|e| Error::io(path, e))
    }
}

/// Adds a file's bytes from its current position to digests, and returns their number.
pub(crate) fn hash(mut file: &File, digests: &mut RunningDigests) -> io::Result<u64> {
    let (mut buffer, mut all) = (vec![0; 1 << 18], 0);
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(all),
            Ok(count) => {
                digests.update(&buffer[..count]);
                all += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn stamp(file: &File) -> io::Result<(u64, Option<u64>)> {
    let about = file.metadata()?;
    let modified = about.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    Ok((about.len(), modified.and_then(|since| u64::try_from(since.as_nanos()).ok())))
}

fn beside(path: &Path) -> PathBuf {
    with_suffix(path, ".json")
}

/// `path` with a suffix after its extension.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// A path for messages.
pub(crate) fn shown(path: &Path) -> String {
    escape::path(path)
}

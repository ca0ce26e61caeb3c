//! A cache folder of published files, filled by downloads.

use crate::folder::cache_folder;
use crate::record::{Record, shown};
use crate::source::{Accept, MIRROR, NO_VERIFY, Source, without_secrets};
use alexnet_files::{Error, Result, open_regular};
use alexnet_formats::published::PublishedFile;
use std::io;
use std::path::{Path, PathBuf};

/// Published files in a cache folder, and downloads of those that are missing.
#[derive(Debug, Clone)]
pub struct Hub {
    folder: PathBuf,
    /// Base address of a mirror, which replaces the publishers'.
    mirror: Option<String>,
    /// Which files are accepted without being asked for explicitly.
    accept: Accept,
    #[cfg(feature = "download")]
    pub(crate) limits: crate::transfer::Limits,
}

/// A verified file in the cache folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachedFile {
    /// Its path.
    pub path: PathBuf,
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256.
    pub sha256: String,
    /// Whether it is the published file; otherwise the user has accepted another one under its name.
    pub published: bool,
    /// Address that it was downloaded from; `None` if the user has put it there.
    pub url: Option<String>,
}

/// Progress of a download.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// Another process is downloading the same file.
    Waiting,
    /// Data follow from this position on.
    Started {
        /// Final address, after redirects, without user name and query.
        url: &'a str,
        /// First byte received; more than 0 if a stopped download resumes.
        position: u64,
        /// Size of the file, if known.
        total: Option<u64>,
    },
    /// Bytes up to this position have been received and written.
    Received {
        /// The position.
        position: u64,
    },
    /// The connection failed, and is tried again.
    Retrying {
        /// Reason.
        why: &'a str,
    },
}

impl Hub {
    /// The user's hub: the folder of [`cache_folder`], the mirror of `ALEXNET_MIRROR`. With `ALEXNET_NO_VERIFY=1`, files that
    /// differ from the published ones are accepted.
    ///
    /// # Errors
    /// There is no cache folder, or a variable is invalid.
    pub fn from_env() -> Result<Hub> {
        let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let accept = match set(NO_VERIFY).as_deref() {
            None | Some("0") => Accept::Published,
            Some("1") => Accept::Any,
            Some(other) => return Err(Error::Invalid(format!("{NO_VERIFY}={other}: expected 0 or 1"))),
        };
        Ok(Hub { mirror: set(MIRROR), accept, ..Hub::in_folder(cache_folder()?) })
    }

    /// A hub in this folder, with the publishers' addresses.
    pub fn in_folder(folder: impl Into<PathBuf>) -> Hub {
        Hub {
            folder: folder.into(),
            mirror: None,
            accept: Accept::Published,
            #[cfg(feature = "download")]
            limits: crate::transfer::Limits::default(),
        }
    }

    /// Replaces the publishers' addresses by a mirror: its base address, followed by `/` and the file name.
    #[must_use]
    pub fn with_mirror(self, mirror: impl Into<String>) -> Hub {
        Hub { mirror: Some(mirror.into()), ..self }
    }

    /// Sets which files are accepted.
    #[must_use]
    pub fn accepting(self, accept: Accept) -> Hub {
        Hub { accept, ..self }
    }

    /// Sets the time limits of downloads.
    #[cfg(feature = "download")]
    #[must_use]
    pub fn with_limits(self, limits: crate::transfer::Limits) -> Hub {
        Hub { limits, ..self }
    }

    /// The cache folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Path of a file in the cache folder, whether it is there or not.
    pub fn path(&self, file: &PublishedFile) -> PathBuf {
        self.folder.join(file.file)
    }

    /// The file in the cache folder, verified; `None` if it is missing. Files that the user has copied there are hashed once.
    ///
    /// # Errors
    /// The file cannot be read, or is another one and was not accepted by a download.
    pub fn find(&self, file: &PublishedFile) -> Result<Option<CachedFile>> {
        let path = self.path(file);
        let opened = match open_regular(&path) {
            Ok((opened, _)) => opened,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(None),
            Err(error) => return Err(Error::io(&path, error)),
        };
        if let Some(record) = Record::read(&path, &opened) {
            return Ok(Some(cached(path, file, record)));
        }
        let record = Record::of(&path, file)?;
        if !self.accept.accepts(file, &record.digests) {
            return Err(Error::file(
                &path,
                format!(
                    "not the published file: {}, expected {}; delete it, replace it, or set {NO_VERIFY}=1 to use it",
                    record.digests.like(&file.checksum),
                    file.checksum
                ),
            ));
        }
        // Without a record, as in a shared folder that others own, the file is hashed again next time.
        let _ = record.write(&path);
        Ok(Some(cached(path, file, record)))
    }

    /// The file in the cache folder, downloaded if it is missing.
    ///
    /// # Errors
    /// As [`find`](Self::find) and [`download`](Self::download); without the feature `download`, the file is missing.
    pub fn get(&self, file: &PublishedFile, observer: &mut dyn FnMut(Event<'_>)) -> Result<CachedFile> {
        match self.find(file)? {
            Some(found) => Ok(found),
            None => self.fetch(file, &self.source(file)?, false, observer),
        }
    }

    /// The published file: from the cache folder, or downloaded if it is missing or another file is in its place.
    ///
    /// # Errors
    /// As [`download`](Self::download).
    pub fn install(&self, file: &PublishedFile, observer: &mut dyn FnMut(Event<'_>)) -> Result<CachedFile> {
        match self.find(file) {
            Ok(Some(found)) if found.published || self.accept == Accept::Any => Ok(found),
            _ => self.download(file, &self.source(file)?, observer),
        }
    }

    /// Downloads a file into the cache folder, even if another one is there under its name.
    ///
    /// # Errors
    /// The file cannot be downloaded or written, or is not accepted by the source. The error says which file the user can put
    /// where instead. A stopped download is resumed by the next one.
    pub fn download(&self, file: &PublishedFile, source: &Source, observer: &mut dyn FnMut(Event<'_>)) -> Result<CachedFile> {
        self.fetch(file, source, true, observer)
    }

    /// Where a file is downloaded from by default.
    ///
    /// # Errors
    /// The mirror is not an address.
    pub fn source(&self, file: &PublishedFile) -> Result<Source> {
        Source::of(file, self.mirror.as_deref(), self.accept.clone())
    }

    #[cfg(not(feature = "download"))]
    fn fetch(&self, file: &PublishedFile, source: &Source, _: bool, _: &mut dyn FnMut(Event<'_>)) -> Result<CachedFile> {
        Err(self.cannot(file, source, "this program was built without the feature download"))
    }

    /// The error of a failed download, with what the user can do by hand.
    pub(crate) fn cannot(&self, file: &PublishedFile, source: &Source, why: &str) -> Error {
        let size = file.bytes.map_or(String::new(), |bytes| format!("{bytes} bytes, "));
        let remedy = format!("to install it by hand, save {} ({size}{}) as {}", file.url, file.checksum, shown(&self.path(file)));
        Error::Invalid(format!("cannot download {}: {why}; {remedy}", without_secrets(&source.url)))
    }
}

pub(crate) fn cached(path: PathBuf, file: &PublishedFile, record: Record) -> CachedFile {
    let published = file.checksum.matches(&record.digests);
    CachedFile { path, bytes: record.bytes, sha256: record.digests.sha256, published, url: record.url }
}

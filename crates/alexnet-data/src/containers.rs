//! Images in several tar files and folders, read in place.

use crate::image::decode;
use crate::read_at::read_image;
use crate::stored::Store;
use crate::{Error, Result, files};
use std::fs::File;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Place of an image: a few bytes, since there may be millions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// Number of the container.
    pub(crate) container: u32,
    /// Size in a tar, or [`u32::MAX`] if it is larger.
    pub(crate) bytes: u32,
    /// Position in a tar. In a folder: length of the part of the image's name that precedes its path within the folder.
    pub(crate) start: u64,
}

impl Place {
    /// Place of an image of `bytes` bytes in a tar.
    pub(crate) fn in_tar(container: u32, start: u64, bytes: u64) -> Place {
        Place { container, start, bytes: u32::try_from(bytes).unwrap_or(u32::MAX) }
    }
}

/// A tar file or a folder.
pub(crate) struct Container {
    path: PathBuf,
    /// The open tar; `None` for a folder.
    tar: Option<OnceLock<File>>,
}

impl Container {
    pub(crate) fn tar(path: impl Into<PathBuf>) -> Container {
        Container { path: path.into(), tar: Some(OnceLock::new()) }
    }

    pub(crate) fn folder(path: impl Into<PathBuf>) -> Container {
        Container { path: path.into(), tar: None }
    }

    pub(crate) fn is_folder(&self) -> bool {
        self.tar.is_none()
    }
}

/// The containers of a data set.
pub(crate) struct Containers {
    containers: Vec<Container>,
    open: AtomicUsize,
}

/// Maximum number of tars that are kept open; others are opened at each read. Systems allow few open files.
const MAX_OPEN: usize = 256;

impl Containers {
    pub(crate) fn new(containers: Vec<Container>) -> Containers {
        Containers { containers, open: AtomicUsize::new(0) }
    }

    /// Path of an image in a folder.
    fn path(&self, name: &str, place: Place) -> PathBuf {
        let path = usize::try_from(place.start).ok().and_then(|start| name.get(start..)).unwrap_or(name);
        self.containers[place.container as usize].path.join(path)
    }
}

impl Store for Containers {
    type Place = Place;

    fn read(&self, name: &str, place: Place) -> Result<Option<Vec<u8>>> {
        let container = &self.containers[place.container as usize];
        let Some(tar) = &container.tar else { return decode::read(&self.path(name, place)).map(Some) };
        if let Some(file) = tar.get() {
            return Ok(Some(read_image(file, place.start, place.bytes.into())?));
        }
        let (file, _) = files::open_regular(&container.path).map_err(|error| Error::io(&container.path, error))?;
        let bytes = read_image(&file, place.start, place.bytes.into())?;
        if self.open.fetch_add(1, Ordering::Relaxed) < MAX_OPEN {
            // Another thread may have been first.
            let _ = tar.set(file);
        }
        Ok(Some(bytes))
    }

    fn size(&self, name: &str, place: Place) -> Option<u64> {
        match self.containers[place.container as usize].tar {
            Some(_) => Some(u64::from(place.bytes)),
            None => std::fs::metadata(self.path(name, place)).ok().map(|file| file.len()),
        }
    }
}

//! Where a data set lies, and how it is opened.

use crate::layouts::{self, Request};
use crate::location::Location;
use crate::{Dataset, Demand, Opened, Result, Split};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Place of a data set on disk, with what its files may leave open.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Source {
    /// Folder or file.
    pub path: PathBuf,
    /// Folder to which the paths in a list are relative; `None`: the list's own.
    pub root: Option<PathBuf>,
    /// File with the class names in label order, for lists with numbers as labels.
    pub classes: Option<PathBuf>,
    /// Whether a layout that has no use for `root` or `classes` ignores them, as when they are meant for another set.
    pub lenient: bool,
}

impl Source {
    /// A source at `path`, with nothing left open.
    pub fn new(path: impl Into<PathBuf>) -> Source {
        Source { path: path.into(), ..Source::default() }
    }

    /// Opens one split: a folder of class folders, an archive of one, a list, or any other layout in the table of `layouts.rs`.
    /// Without splits this is the whole set; for [`Split::Validation`] it is the test split if there is no other.
    ///
    /// # Errors
    /// The path does not exist, no layout is recognised, or the classes do not meet `demand`. Image files are not opened.
    pub fn open(&self, split: Split, demand: Demand) -> Result<Opened> {
        self.request(Some(split), demand)
    }

    /// Opens images with or without classes: whatever [`open`](Self::open) accepts, a folder of images at any depth, a text file
    /// with one path per line, or a single image. Without classes [`Dataset::label`] is meaningless. All splits are used.
    ///
    /// # Errors
    /// The path does not exist, or there are no images.
    pub fn open_any(&self) -> Result<Opened> {
        self.request(None, Demand::LabelsOptional)
    }

    fn request(&self, split: Option<Split>, demand: Demand) -> Result<Opened> {
        let at = Location::of(&self.path)?;
        let (root, classes) = (self.root.as_deref(), self.classes.as_deref());
        layouts::open(&Request { at: &at, split, demand, root, classes }, self.lenient)
    }
}

/// Opens the training split of a data set, as [`Source::open`].
///
/// # Errors
/// As [`Source::open`]; there are fewer than two classes, or a class has no images.
pub fn open(path: &Path) -> Result<Arc<dyn Dataset>> {
    Ok(Source::new(path).open(Split::Train, Demand::Trainable)?.source)
}

/// Opens images with or without classes, as [`Source::open_any`].
///
/// # Errors
/// As [`Source::open_any`].
pub fn open_loose(path: &Path) -> Result<Arc<dyn Dataset>> {
    Ok(Source::new(path).open_any()?.source)
}

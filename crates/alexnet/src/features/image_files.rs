//! The images behind a feature table, by name.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::data::{self, Dataset};
use crate::image::Image;
use crate::{Error, Result};

/// Images to display next to their features.
pub struct ImageFiles {
    path: PathBuf,
    source: Arc<dyn Dataset>,
    /// Source index by name.
    numbers: HashMap<String, usize>,
}

impl ImageFiles {
    /// Opens the images at `path`, in any form accepted by `alexnet features --data`.
    ///
    /// # Errors
    /// The path cannot be opened.
    pub fn open(path: &Path) -> Result<ImageFiles> {
        let source = data::open_loose(path)?;
        let numbers = (0..source.len()).map(|i| (source.name(i).to_string(), i)).collect();
        Ok(ImageFiles { path: path.to_path_buf(), source, numbers })
    }

    /// Checks that an image of this name exists.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn check(&self, name: &str) -> Result<()> {
        let missing = || Error::file(&self.path, format!("no {name}, which the index has"));
        self.numbers.get(name).map(|_| ()).ok_or_else(missing)
    }

    /// Reads the image of a name. Errors contain no path, since a server must not reveal it to every client.
    ///
    /// # Errors
    /// There is none of this name, or it cannot be read.
    pub fn image(&self, name: &str) -> Result<Image> {
        self.source.image(*self.numbers.get(name).ok_or("no such image")?)
    }
}

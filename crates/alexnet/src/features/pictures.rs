//! The images that a table's features are of, by name.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::data::{self, Dataset};
use crate::image::Image;
use crate::{Error, Result};

/// Images to be shown beside their features.
pub struct Pictures {
    path: PathBuf,
    source: Arc<dyn Dataset>,
    /// Their numbers in the source.
    numbers: HashMap<String, usize>,
}

impl Pictures {
    /// Finds the images that lie at `path`: whatever `alexnet features --data` takes.
    ///
    /// # Errors
    /// Nothing that can be opened.
    pub fn open(path: &Path) -> Result<Pictures> {
        let source = data::open_loose(path)?;
        let numbers = (0..source.len()).map(|i| (source.name(i).to_string(), i)).collect();
        Ok(Pictures { path: path.to_path_buf(), source, numbers })
    }

    /// Makes sure that there is an image of this name.
    ///
    /// # Errors
    /// None of this name.
    pub fn check(&self, name: &str) -> Result<()> {
        let missing = || Error::file(&self.path, format!("no {name}, which the index has"));
        self.numbers.get(name).map(|_| ()).ok_or_else(missing)
    }

    /// The image of a name, or why it cannot be read: without a path, since not everyone who asks a server is to know it.
    ///
    /// # Errors
    /// None of this name, or one that cannot be read.
    pub fn picture(&self, name: &str) -> Result<Image> {
        self.source.picture(*self.numbers.get(name).ok_or("no such image")?)
    }
}

//! What lies at the path of a data set, as far as layouts are recognised by it.

use crate::sniff::{self, Content};
use crate::{Error, Result, files, shard_pattern};
use std::io::Read;
use std::path::{Path, PathBuf};

/// A path, and what was found there.
#[derive(Debug)]
pub(crate) struct Location {
    pub(crate) path: PathBuf,
    pub(crate) found: Found,
}

/// What is at a path.
#[derive(Debug)]
pub(crate) enum Found {
    /// A folder, with the names of its entries, sorted; names that are not UTF-8 are left out.
    Folder(Vec<String>),
    /// A file, with its type and its first [`sniff::START`] bytes.
    File(Content, Vec<u8>),
    /// No file of this name, but the files that it names as a pattern, in order.
    Pattern(Vec<PathBuf>),
}

impl Location {
    /// Looks at a path.
    ///
    /// # Errors
    /// There is nothing, it cannot be read, or it is neither a folder nor a regular file.
    pub(crate) fn of(path: &Path) -> Result<Location> {
        let io = |error| Error::io(path, error);
        let metadata = std::fs::metadata(path);
        if metadata.is_err()
            && let Some(files) = shard_pattern::expand(path)?
        {
            return Ok(Location { path: path.to_path_buf(), found: Found::Pattern(files) });
        }
        let found = if metadata.map_err(io)?.is_dir() {
            let mut names = Vec::new();
            for entry in std::fs::read_dir(path).map_err(io)? {
                names.extend(entry.map_err(io)?.file_name().into_string());
            }
            names.sort();
            Found::Folder(names)
        } else {
            let (file, _) = files::open_regular(path).map_err(io)?;
            let mut start = Vec::new();
            file.take(sniff::START as u64).read_to_end(&mut start).map_err(io)?;
            Found::File(sniff::content(&start), start)
        };
        Ok(Location { path: path.to_path_buf(), found })
    }

    /// Whether it is a folder.
    pub(crate) fn is_folder(&self) -> bool {
        matches!(self.found, Found::Folder(_))
    }

    /// Whether it is a file without bytes.
    pub(crate) fn is_empty(&self) -> bool {
        matches!(&self.found, Found::File(_, start) if start.is_empty())
    }

    /// Names of a folder's entries; none for a file.
    pub(crate) fn names(&self) -> &[String] {
        match &self.found {
            Found::Folder(names) => names,
            Found::File(..) | Found::Pattern(_) => &[],
        }
    }

    /// Type of a file; `None` for a folder or a pattern.
    pub(crate) fn content(&self) -> Option<Content> {
        match &self.found {
            Found::Folder(_) | Found::Pattern(_) => None,
            Found::File(content, _) => Some(*content),
        }
    }

    /// Name of the file or folder in lower case.
    pub(crate) fn lower_name(&self) -> String {
        self.path.file_name().map(|name| name.to_string_lossy().to_ascii_lowercase()).unwrap_or_default()
    }
}

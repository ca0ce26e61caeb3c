//! A folder with one folder per class.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Listing, Source, is_picture};
use crate::image::{Picture, decode};
use crate::{Error, Result};

/// Deeper folders within a class are an error: symbolic links may go in circles.
const MAX_DEPTH: usize = 32;

/// `PATH/class/.../file.jpg`: class folders at the top, pictures at any depth below them. Links are followed; hidden
/// files and files without a picture's ending are passed over.
#[derive(Debug)]
pub(super) struct Folder {
    listing: Listing<PathBuf>,
}

impl Folder {
    /// Lists the pictures, sorted by class and name.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let (mut classes, mut found, mut loose) = (Vec::new(), Vec::new(), None);
        for entry in entries(path)? {
            match entry {
                Entry { name, at, is_folder: true } => {
                    walk(&at, &name, 1, &mut found)?;
                    classes.push(name);
                }
                Entry { name, .. } if is_picture(&name) => loose = Some(name),
                Entry { .. } => {}
            }
        }
        Ok(Folder { listing: Listing::new(path, classes, found, loose)? })
    }
}

struct Entry {
    name: String,
    at: PathBuf,
    is_folder: bool,
}

/// What is visible in a folder.
fn entries(folder: &Path) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| Error::io(folder, error))? {
        let at = entry.map_err(|error| Error::io(folder, error))?.path();
        let name = match at.file_name().map(|name| name.to_str()) {
            Some(Some(name)) => name.to_string(),
            _ => return Err(Error::file(&at, "its name is not UTF-8; rename it")),
        };
        if name.starts_with('.') {
            continue;
        }
        // Follows links. A link to nothing matters only if it should have been a picture; reading it will tell.
        let is_folder = fs::metadata(&at).is_ok_and(|kind| kind.is_dir());
        entries.push(Entry { name, at, is_folder });
    }
    Ok(entries)
}

fn walk(folder: &Path, prefix: &str, depth: usize, found: &mut Vec<(String, PathBuf)>) -> Result<()> {
    if depth > MAX_DEPTH {
        return Err(Error::file(folder, format!("folders more than {MAX_DEPTH} deep; does a link lead in a circle?")));
    }
    for Entry { name, at, is_folder } in entries(folder)? {
        let inner = format!("{prefix}/{name}");
        if is_folder {
            walk(&at, &inner, depth + 1, found)?;
        } else if is_picture(&name) {
            found.push((inner, at));
        }
    }
    Ok(())
}

impl Source for Folder {
    fn classes(&self) -> &[String] {
        &self.listing.classes
    }

    fn len(&self) -> usize {
        self.listing.pictures.len()
    }

    fn label(&self, i: usize) -> u32 {
        self.listing.pictures[i].1
    }

    fn name(&self, i: usize) -> &str {
        &self.listing.pictures[i].0
    }

    fn picture(&self, i: usize) -> Result<Picture, String> {
        decode::decode(&decode::read(&self.listing.pictures[i].2)?)
    }

    fn file(&self, i: usize) -> Result<Option<Vec<u8>>, String> {
        decode::read(&self.listing.pictures[i].2).map(Some)
    }
}

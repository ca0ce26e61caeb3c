//! Where pictures come from: a folder of class folders, a .tar of the same, or the built-in set that the program draws; where
//! labels are not needed, any folder, list or file.
//!
//! A [`Source`] knows names and labels and decodes one picture at a time; a [`loader::Loader`] turns it into batches.

pub mod built_in;
mod folder;
mod hold_out;
pub mod loader;
mod tar;

pub use built_in::{Split, built_in};
pub use hold_out::hold_out;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::image::Picture;
use crate::{Error, Result};

/// Pictures with labels, in a fixed order.
pub trait Source: Send + Sync {
    /// The names of the classes, sorted; a label is an index into them.
    fn classes(&self) -> &[String];

    /// Number of pictures.
    fn len(&self) -> usize;

    /// True where there is no picture at all.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Label of picture `i`.
    fn label(&self, i: usize) -> u32;

    /// Name of picture `i` within the set: `class/file.jpg`, with `/` on every system.
    fn name(&self, i: usize) -> &str;

    /// Picture `i`, decoded anew.
    ///
    /// # Errors
    /// A line that says what is wrong with it (its name is not repeated).
    fn picture(&self, i: usize) -> Result<Picture, String>;

    /// The size of the file of picture `i`, in bytes; none where it comes from no file, or that is not known at once.
    fn file_size(&self, _: usize) -> Option<u64> {
        None
    }

    /// The bytes of picture `i` as they lie in its file; none where it comes from no file.
    ///
    /// # Errors
    /// As [`picture`](Self::picture).
    fn file(&self, _: usize) -> Result<Option<Vec<u8>>, String> {
        Ok(None)
    }
}

/// Opens a folder of class folders, or a .tar of the same.
///
/// # Errors
/// When nothing is there, or pictures do not lie in one folder per class, or there are fewer than two classes, or one
/// without pictures. Pictures themselves are not opened.
pub fn open(path: &Path) -> Result<Arc<dyn Source>> {
    let kind = std::fs::metadata(path).map_err(|error| Error::io(path, error))?;
    if kind.is_dir() {
        return Ok(Arc::new(folder::Folder::open(path)?));
    }
    if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("tar")) {
        return Ok(Arc::new(tar::Tar::open(path)?));
    }
    Err(Error::file(path, format!("neither a folder nor a .tar; {LAYOUT}")))
}

/// Opens pictures whether or not they lie in classes: a folder or .tar as [`open`] takes it, one of pictures at any depth, a text
/// file that names a picture a line (from the list's own folder), or a single picture. Only where every picture lies in a folder
/// of its own there are classes; otherwise there are none, and [`Source::label`] tells nothing.
///
/// # Errors
/// When nothing is there, or no pictures.
pub fn open_loose(path: &Path) -> Result<Arc<dyn Source>> {
    let kind = std::fs::metadata(path).map_err(|error| Error::io(path, error))?;
    if kind.is_dir() {
        return Ok(Arc::new(folder::Folder::open_loose(path)?));
    }
    let name = path.file_name().map(|name| name.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    if name.ends_with(".tar") {
        return Ok(Arc::new(tar::Tar::open_loose(path)?));
    }
    if name.ends_with(".txt") {
        return Ok(Arc::new(folder::Folder::of_list(path)?));
    }
    if is_picture(&name) {
        return Ok(of_files(&[path.to_path_buf()]));
    }
    Err(Error::file(path, "neither a folder, a .tar, a .txt that lists pictures, nor a picture"))
}

/// Picture files in this order, without classes. Their names are their paths as given.
pub fn of_files(paths: &[PathBuf]) -> Arc<dyn Source> {
    Arc::new(folder::Folder::of_files(paths))
}

/// What a user should do who has put pictures elsewhere.
const LAYOUT: &str = "pictures must lie in one folder per class, such as cat/1.jpg and dog/1.jpg";

/// Endings of the files that are taken for pictures, in lower case. What is in them, the decoder tells by itself.
const ENDINGS: [&str; 7] = ["jpg", "jpeg", "jpe", "png", "webp", "bmp", "gif"];

/// Whether a file of this name is taken for a picture: a known ending, and not hidden.
fn is_picture(file: &str) -> bool {
    let ending = file.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
    !file.starts_with('.') && ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str()))
}

/// The sorted list of a set's pictures, as both folder and tar have it.
#[derive(Debug)]
struct Listing<T> {
    classes: Vec<String>,
    /// `class/file.jpg`, label, and where to find the bytes.
    pictures: Vec<(String, u32, T)>,
}

impl<T> Listing<T> {
    /// Sorts what was found at `path` by name. Where all lie in folders, the outermost are the classes; else there are none.
    fn loose(path: &Path, mut found: Vec<(String, T)>) -> Result<Self> {
        found.sort_by(|a, b| a.0.cmp(&b.0));
        if found.is_empty() {
            return Err(Error::file(path, format!("no pictures here (*.{{{}}})", ENDINGS.join(", "))));
        }
        if found.iter().all(|(name, _)| name.contains('/')) {
            let class = |name: &str| name.split('/').next().unwrap_or_default().to_string();
            let mut classes: Vec<String> = found.iter().map(|(name, _)| class(name)).collect();
            classes.sort();
            classes.dedup();
            return Ok(Self::labelled(classes, found));
        }
        Ok(Listing { classes: Vec::new(), pictures: found.into_iter().map(|(name, place)| (name, 0, place)).collect() })
    }

    /// Sorts what was found at `path` by name and gives labels. `folders` are the class folders, the empty ones too;
    /// `loose` is a picture that lies in no class folder.
    fn new(path: &Path, folders: Vec<String>, mut found: Vec<(String, T)>, loose: Option<String>) -> Result<Self> {
        let mut classes = folders;
        classes.sort();
        classes.dedup();
        let problem = |text: String| Err(Error::file(path, text));
        if let Some(loose) = loose {
            return problem(format!("{loose} lies in no class; {LAYOUT}"));
        }
        match classes.as_slice() {
            [] => return problem(format!("no pictures here; {LAYOUT}")),
            [only] => return problem(format!("only one class, {only}; {LAYOUT}")),
            _ => {}
        }
        found.sort_by(|a, b| a.0.cmp(&b.0));
        let class = |name: &str| name.split('/').next().unwrap_or_default().to_string();
        if let Some((name, _)) = found.iter().find(|(name, _)| classes.binary_search(&class(name)).is_err()) {
            return problem(format!("{name} lies in no class; {LAYOUT}"));
        }
        if u32::try_from(found.len()).is_err() {
            return problem("more than 4 billion pictures".into());
        }
        let listing = Self::labelled(classes, found);
        let mut counts = vec![0usize; listing.classes.len()];
        listing.pictures.iter().for_each(|(_, label, _)| counts[*label as usize] += 1);
        if let Some(empty) = counts.iter().position(|&n| n == 0) {
            let (class, endings) = (&listing.classes[empty], ENDINGS.join(", "));
            return problem(format!("class {class} has no pictures (*.{{{endings}}}); remove its folder or fill it"));
        }
        Ok(listing)
    }

    /// Pictures with the labels of their outermost folders, all of which are among the sorted `classes`.
    fn labelled(classes: Vec<String>, found: Vec<(String, T)>) -> Self {
        let label = |name: &str| {
            let class = name.split('/').next().unwrap_or_default();
            classes.binary_search_by(|known| known.as_str().cmp(class)).unwrap_or_default() as u32
        };
        let mut pictures: Vec<_> = found.into_iter().map(|(name, place)| (label(&name), name, place)).collect();
        // Sorted by label first, then by name: a/b.jpg and a-b/c.jpg would otherwise mix.
        pictures.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
        Listing { classes, pictures: pictures.into_iter().map(|(label, name, place)| (name, label, place)).collect() }
    }
}

//! Where pictures come from: a folder of class folders, a .tar of the same, or the built-in set that the program draws.
//!
//! A [`Source`] knows names and labels and decodes one picture at a time; a [`loader::Loader`] turns it into batches.

pub mod built_in;
mod folder;
mod hold_out;
pub mod loader;
mod tar;

pub use built_in::{Split, built_in};
pub use hold_out::hold_out;

use std::path::Path;
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
        let mut counts = vec![0usize; classes.len()];
        let mut pictures = Vec::with_capacity(found.len());
        for (name, place) in found {
            let class = name.split('/').next().unwrap_or_default();
            let Ok(label) = classes.binary_search_by(|c| c.as_str().cmp(class)) else {
                return problem(format!("{name} lies in no class; {LAYOUT}"));
            };
            counts[label] += 1;
            pictures.push((name, label as u32, place));
        }
        if let Some(empty) = counts.iter().position(|&n| n == 0) {
            let endings = ENDINGS.join(", ");
            return problem(format!("class {} has no pictures (*.{{{endings}}}); remove its folder or fill it", classes[empty]));
        }
        if u32::try_from(pictures.len()).is_err() {
            return problem("more than 4 billion pictures".into());
        }
        // Sorted by label first, then by name: a/b.jpg and a-b/c.jpg would otherwise mix.
        pictures.sort_by(|a, b| (a.1, &a.0).cmp(&(b.1, &b.0)));
        Ok(Listing { classes, pictures })
    }
}

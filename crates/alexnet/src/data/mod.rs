//! Where images come from: a folder of class folders, a .tar of the same, or the built-in set that the program draws; where
//! labels are not needed, any folder, list or file.
//!
//! A [`Dataset`] knows names and labels and decodes one image at a time; a [`loader::Loader`] turns it into batches.

mod image_folder;
mod listing;
pub mod loader;
mod opened;
mod passed_over;
mod sniff;
mod split;
mod split_folders;
pub mod synthetic;
mod tar;
#[cfg(test)]
mod tests;

pub use listing::Demand;
pub use opened::{Opened, open_any, open_split};
pub use passed_over::{PassedOver, Reason};
pub use split::hold_out;
pub use split_folders::Splits;
pub use synthetic::{Split, synthetic};

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::Result;
use crate::image::Image;
use crate::image::decode::format::FORMATS;

/// Images with labels, in a fixed order.
pub trait Dataset: Send + Sync {
    /// The names of the classes, sorted; a label is an index into them.
    fn classes(&self) -> &[String];

    /// Number of images.
    fn len(&self) -> usize;

    /// True where there is no image at all.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Label of image `i`.
    fn label(&self, i: usize) -> u32;

    /// Name of image `i` within the set: `class/file.jpg`, with `/` on every system.
    fn name(&self, i: usize) -> &str;

    /// Image `i`, decoded anew.
    ///
    /// # Errors
    /// A line that says what is wrong with it (its name is not repeated).
    fn picture(&self, i: usize) -> Result<Image>;

    /// The size of the file of image `i`, in bytes; none where it comes from no file, or that is not known at once.
    fn file_size(&self, _: usize) -> Option<u64> {
        None
    }

    /// The bytes of image `i` as they lie in its file; none where it comes from no file.
    ///
    /// # Errors
    /// As [`picture`](Self::picture).
    fn file(&self, _: usize) -> Result<Option<Vec<u8>>> {
        Ok(None)
    }
}

/// Opens a folder of class folders, or a .tar of the same, to train with. Of a root with splits the training split is taken.
///
/// # Errors
/// When nothing is there, or images do not lie in one folder per class, or there are fewer than two classes, or one
/// without images. Images themselves are not opened.
pub fn open(path: &Path) -> Result<Arc<dyn Dataset>> {
    Ok(open_split(path, Split::Train, Demand::Trainable)?.source)
}

/// [`open_any`], for those who need no more than the images.
///
/// # Errors
/// As [`open_any`].
pub fn open_loose(path: &Path) -> Result<Arc<dyn Dataset>> {
    Ok(open_any(path)?.source)
}

/// Image files in this order, without classes. Their names are their paths as given.
pub fn of_files(paths: &[PathBuf]) -> Arc<dyn Dataset> {
    image_folder::of_files(paths)
}

/// What a user should do who has put images elsewhere.
const LAYOUT: &str = "images must lie in one folder per class, such as cat/1.jpg and dog/1.jpg";

/// Endings of the files that are taken for images, for messages. What is in them, the decoder finds out by itself.
fn endings() -> String {
    FORMATS.iter().flat_map(|format| format.endings).copied().collect::<Vec<_>>().join(", ")
}

/// Whether a file of this name is taken for an image: a known ending, and not hidden.
fn is_picture(file: &str) -> bool {
    let ending = file.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
    !file.starts_with('.') && ending.is_some_and(|ending| FORMATS.iter().any(|format| format.endings.contains(&ending.as_str())))
}

//! Data sets: a folder of class folders, a .tar of one, or the built-in synthetic set; without labels also any folder, list or
//! file.
//!
//! A [`Dataset`] provides names and labels and decodes one image at a time; a [`loader::Loader`] turns it into batches.

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
use crate::image::{Image, decode};

/// Data set of labelled images in a fixed order.
pub trait Dataset: Send + Sync {
    /// Names of the classes, sorted; a label is an index into them.
    fn classes(&self) -> &[String];

    /// Number of images.
    fn len(&self) -> usize;

    /// Whether there are no images.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Label of image `i`.
    fn label(&self, i: usize) -> u32;

    /// Name of image `i` within the set: `class/file.jpg`, with `/` on every system.
    fn name(&self, i: usize) -> &str;

    /// Decodes image `i`.
    ///
    /// # Errors
    /// The reason, in one line without the image's name.
    fn image(&self, i: usize) -> Result<Image>;

    /// File size of image `i` in bytes; `None` if there is no file, or the size is not known immediately.
    fn file_size(&self, _: usize) -> Option<u64> {
        None
    }

    /// Encoded bytes of image `i`; `None` if there is no file.
    ///
    /// # Errors
    /// As [`image`](Self::image).
    fn file(&self, _: usize) -> Result<Option<Vec<u8>>> {
        Ok(None)
    }
}

/// Opens a folder of class folders, or a .tar of one, for training. Of a root with splits, the training split is used.
///
/// # Errors
/// The path does not exist, images are not in one folder per class, there are fewer than two classes, or a class has no images.
/// Image files are not opened.
pub fn open(path: &Path) -> Result<Arc<dyn Dataset>> {
    Ok(open_split(path, Split::Train, Demand::Trainable)?.source)
}

/// Opens images without notes, as [`open_any`].
///
/// # Errors
/// As [`open_any`].
pub fn open_loose(path: &Path) -> Result<Arc<dyn Dataset>> {
    Ok(open_any(path)?.source)
}

/// A data set of image files in this order, without classes. Their names are their paths as given.
pub fn of_files(paths: &[PathBuf]) -> Arc<dyn Dataset> {
    image_folder::of_files(paths)
}

/// Advice about the expected layout.
const LAYOUT: &str = "expected one folder per class, such as cat/1.jpg and dog/1.jpg";

/// Whether a file of this name counts as an image: a known extension, and not hidden.
fn is_image(file: &str) -> bool {
    let ending = file.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
    !file.starts_with('.') && ending.is_some_and(|ending| decode::endings().any(|known| known == ending))
}

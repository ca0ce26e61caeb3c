//! Images with names and labels, in a fixed order.

use crate::Result;
use crate::image::Image;
use std::path::PathBuf;

/// Data set of labelled images in a fixed order.
pub trait Dataset: Send + Sync {
    /// Names of the classes; a label is an index into them.
    fn classes(&self) -> &[String];

    /// Number of images.
    fn len(&self) -> usize;

    /// Whether there are no images.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Label of image `i`.
    fn label(&self, i: usize) -> u32;

    /// Name of image `i` within the set, such as `class/file.jpg`, with `/` on every system.
    fn name(&self, i: usize) -> &str;

    /// Decodes image `i`.
    ///
    /// # Errors
    /// The reason, in one line without the image's name.
    fn image(&self, i: usize) -> Result<Image>;

    /// Stored size of image `i` in bytes; `None` if there are no stored bytes, or the size is not known immediately.
    fn file_size(&self, _: usize) -> Option<u64> {
        None
    }

    /// Encoded bytes of image `i`; `None` if its pixels are not encoded as an image file.
    ///
    /// # Errors
    /// As [`image`](Self::image).
    fn file(&self, _: usize) -> Result<Option<Vec<u8>>> {
        Ok(None)
    }

    /// Path of image `i`; `None` if it is not a file of its own.
    fn path(&self, _: usize) -> Option<PathBuf> {
        None
    }
}

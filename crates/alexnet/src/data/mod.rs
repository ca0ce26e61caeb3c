//! Data sets of [`alexnet_data`], and the loader that turns one into batches.

pub mod loader;

pub use alexnet_data::*;

use crate::image::decode::{self, DecodeLimits};
use crate::image::{Image, Preprocess};

/// Decodes image `i` of a data set and resizes it as the preprocessing says.
///
/// # Errors
/// As [`Dataset::image`].
pub fn resized(source: &dyn Dataset, i: usize, preprocess: &Preprocess) -> crate::Result<Image> {
    // What is not stored as a file cannot be decoded at a scale.
    if !preprocess.jpeg.is_exact()
        && let Some(bytes) = source.file(i)?
    {
        return decode::resized(&bytes, preprocess, &DecodeLimits::default());
    }
    Ok(source.image(i)?.resized_as(preprocess.resize))
}

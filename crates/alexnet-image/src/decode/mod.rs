//! From the bytes of an image file to an upright RGB image.
//!
//! The format follows from the content, never from the name. The pixels are those of Pillow's `convert("RGB")` after its
//! `exif_transpose`, on which every published PyTorch figure rests: alpha is dropped, not composited; a grey value stands in
//! all three channels; of an animation, the first frame. One difference, on purpose: 16-bit grey keeps its high byte, where
//! Pillow (13.0 too) cuts all values above 255 to white. `tools/pillow_compare.py` compares a folder of files.
//!
//! The work is bounded by the bytes and the pixels of a file, and a deadline can bound its time.

mod baseline;
mod bmp;
mod exif;
mod format;
mod gif;
mod jpeg;
mod jpeg_header;
mod jpeg_outline;
mod limits;
mod png;
mod scale;
mod unread;
mod upright;
mod webp;

use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use crate::draft::Draft;
use crate::image::Image;
use alexnet_files::{self as files, Result};
use alexnet_net::{JpegDecoding, Preprocess};

pub use crate::draft::{scale_before, scale_before_crop};
pub use format::{Header, ImageFormat};
pub use limits::{DecodeLimits, MAX_PIXELS};
pub use scale::Scale;
pub use unread::unread;

/// Every format that is read.
pub const FORMATS: &[&dyn ImageFormat] = &[&jpeg::Jpeg, &png::Png, &webp::WebP, &bmp::Bmp, &gif::Gif];

/// Whether a file is named like an image: it has a known extension, in either case.
pub fn is_named_image(path: &Path) -> bool {
    path.extension().is_some_and(|ending| endings().any(|known| ending.eq_ignore_ascii_case(known)))
}

/// Larger files are refused, in bytes.
pub const MAX_FILE: u64 = 1 << 30;
/// What is said of a larger file.
pub const TOO_LARGE: &str = "the file has more than 1 GiB";

/// Decodes JPEG, PNG, WebP, BMP or GIF (its first frame) to upright RGB.
///
/// # Errors
/// A line that says what is wrong with the bytes. No input makes this function panic, nor take more than about 2 GiB.
pub fn decode(bytes: &[u8]) -> Result<Image> {
    decode_with(bytes, &DecodeLimits::default())
}

/// As [`decode`], within other limits.
///
/// # Errors
/// As [`decode`], and when the deadline has passed. JPEG, PNG, GIF and BMP check it while they decode; WebP before it begins.
pub fn decode_with(bytes: &[u8], limits: &DecodeLimits) -> Result<Image> {
    guarded(|| format_of(bytes, limits)?.decode(bytes, limits))
}

/// Decodes an image at the part of its size that `choose` says of its upright height and width, where its format can: JPEG. Other
/// images are decoded in full.
///
/// # Errors
/// As [`decode_with`].
pub fn draft(bytes: &[u8], limits: &DecodeLimits, choose: &dyn Fn(usize, usize) -> Scale) -> Result<Draft> {
    guarded(|| format_of(bytes, limits)?.draft(bytes, limits, choose))
}

/// Decodes an image and resizes it as the preprocessing says, JPEG at the scale that it allows.
///
/// # Errors
/// As [`decode_with`].
pub fn resized(bytes: &[u8], preprocess: &Preprocess, limits: &DecodeLimits) -> Result<Image> {
    let how = preprocess.resize;
    match preprocess.jpeg {
        JpegDecoding::Exact => Ok(decode_with(bytes, limits)?.resized_as(how)),
        JpegDecoding::Scaled => Ok(draft(bytes, limits, &|height, width| scale_before(how, height, width))?.resized_as(how)),
    }
}

/// The decoders are other people's: a panic in one of them on a strange file must not take a training run down.
fn guarded<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => Ok(result?),
        Err(_) => Err("the decoder gave up on it (a broken file)".into()),
    }
}

/// The format that decodes a file.
fn format_of(bytes: &[u8], limits: &DecodeLimits) -> Result<&'static dyn ImageFormat, String> {
    limits.check_time()?;
    if bytes.is_empty() {
        return Err("empty file".into());
    }
    of(bytes).ok_or_else(|| match unread(bytes) {
        Some(name) => format!("{name} images are not read; convert it to JPEG or PNG"),
        None => format!("not a {} image", names()),
    })
}

/// The format that a file begins as.
fn of(bytes: &[u8]) -> Option<&'static dyn ImageFormat> {
    FORMATS.iter().find(|format| format.sniff(bytes)).copied()
}

/// The names of all formats in a sentence: `JPEG, PNG, WebP, BMP or GIF`.
fn names() -> String {
    let names: Vec<_> = FORMATS.iter().map(|format| format.name()).collect();
    names.split_last().map_or_else(String::new, |(last, others)| format!("{} or {last}", others.join(", ")))
}

/// Endings of the files of all formats, in lower case. What is in a file, the decoder finds out by itself.
pub fn endings() -> impl Iterator<Item = &'static str> {
    FORMATS.iter().flat_map(|format| format.endings()).copied()
}

/// Size and need of memory of an image file, before it is decoded; none for an unknown format or a broken header.
pub fn header(bytes: &[u8]) -> Option<Header> {
    of(bytes)?.header(bytes)
}

/// Reads and decodes an image file.
///
/// # Errors
/// The file's name, and what [`read`] or [`decode`] says.
pub fn open(path: &Path) -> Result<Image> {
    read(path).and_then(|bytes| decode(&bytes)).map_err(|error| files::Error::file(path, error))
}

/// Reads an image file, decodes it and resizes it, as [`resized`]. Resizing it again changes nothing.
///
/// # Errors
/// As [`open`].
pub fn open_resized(path: &Path, preprocess: &Preprocess) -> Result<Image> {
    let limits = DecodeLimits::default();
    read(path).and_then(|bytes| resized(&bytes, preprocess, &limits)).map_err(|error| files::Error::file(path, error))
}

/// Reads an image file whole, unless it is larger than any image should be.
///
/// # Errors
/// What the system said, that it is not a regular file, or that the file is too large.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    let unreadable = |error: std::io::Error| format!("cannot be read: {error}");
    let (file, length) = files::open_regular(path).map_err(unreadable)?;
    let mut bytes = Vec::with_capacity(length.min(MAX_FILE) as usize);
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_FILE { Err(TOO_LARGE.into()) } else { Ok(bytes) }
}

/// Decodes a JPEG by libjpeg alone: the reference of the fast path, for tests.
///
/// # Errors
/// As [`decode`].
#[doc(hidden)]
pub fn jpeg_by_libjpeg(bytes: &[u8], scale: Scale, limits: &DecodeLimits) -> Result<Image> {
    Ok(jpeg::decode(bytes, scale, limits, false)?)
}

#[cfg(test)]
mod tests;

//! From the bytes of an image file to an upright RGB image.
//!
//! The format follows from the content, never from the name. The pixels are those of Pillow's `convert("RGB")` after its
//! `exif_transpose`, on which every published PyTorch figure rests: alpha is dropped, not composited; a grey value stands in
//! all three channels; of an animation, the first frame. One difference, on purpose: 16-bit grey keeps its high byte, where
//! Pillow (13.0 too) cuts all values above 255 to white. `tools/pillow_compare.py` compares a folder of files.
//!
//! The work is bounded by the bytes and the pixels of a file, and a deadline can bound its time.

mod bmp;
mod exif;
pub mod format;
mod gif;
mod jpeg;
mod jpeg_header;
mod jpeg_outline;
mod png;
mod upright;
mod webp;

use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Instant;

use super::Image;
use alexnet_files::{self as files, Result};

/// An image of more pixels is refused from its header: Pillow's limit, beyond which it speaks of a decompression bomb.
pub const MAX_PIXELS: u64 = 178_956_970;

/// An image of a longer side is refused as well. JPEG, GIF and WebP cannot have one.
const MAX_SIDE: u64 = 1 << 20;

/// Larger files are refused, in bytes.
pub const MAX_FILE: u64 = 1 << 30;
/// What is said of a larger file.
pub const TOO_LARGE: &str = "the file has more than 1 GiB";

/// Bounds on the work of decoding one image.
#[derive(Debug, Clone, Copy)]
pub struct DecodeLimits {
    /// Images of more pixels are refused from their header.
    pub max_pixels: u64,
    /// Decoding stops with an error when this moment has passed.
    pub deadline: Option<Instant>,
}

impl Default for DecodeLimits {
    /// [`MAX_PIXELS`] and no deadline.
    fn default() -> Self {
        DecodeLimits { max_pixels: MAX_PIXELS, deadline: None }
    }
}

impl DecodeLimits {
    /// Refuses an image that claims to be enormous, or to have no pixels.
    fn check_size(&self, width: u64, height: u64) -> Result<(), String> {
        let most = self.max_pixels;
        if width == 0 || height == 0 {
            return Err(format!("{width} x {height} pixels: there is nothing to see"));
        }
        // A row costs more than its pixels where there are hundreds of millions of them.
        if width.max(height) > MAX_SIDE {
            return Err(format!("claims to have {width} x {height} pixels; more than {MAX_SIDE} on a side are refused"));
        }
        if width.checked_mul(height).is_none_or(|pixels| pixels > most) {
            return Err(format!("claims to have {width} x {height} pixels; more than {most} are refused"));
        }
        Ok(())
    }

    /// Whether the deadline has passed.
    fn is_late(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// Refuses to continue after the deadline.
    fn check_time(&self) -> Result<(), String> {
        if self.is_late() { Err(LATE.into()) } else { Ok(()) }
    }
}

const LATE: &str = "decoding takes longer than its time limit; send a smaller or simpler image";
const TRUNCATED: &str = "the file ends too early";

/// Decodes an image file of any of the [`FORMATS`](format::FORMATS) to upright RGB; of an animation, the first frame.
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
    // The decoders are other people's: a panic in one of them on a strange file must not take a training run down.
    match catch_unwind(AssertUnwindSafe(|| decode_unguarded(bytes, limits))) {
        Ok(result) => Ok(result?),
        Err(_) => Err("the decoder gave up on it (a broken file)".into()),
    }
}

fn decode_unguarded(bytes: &[u8], limits: &DecodeLimits) -> Result<Image, String> {
    limits.check_time()?;
    if bytes.is_empty() {
        return Err("empty file".into());
    }
    match format::of(bytes) {
        Some(format) => (format.decode)(bytes, limits),
        None => Err(match format::unread_format(bytes) {
            Some(name) => format!("{name} images are not read; convert it to JPEG or PNG"),
            None => format!("not a {} image", format::names()),
        }),
    }
}

/// An image with room for its pixels, all black.
fn black(width: usize, height: usize) -> Result<Image, String> {
    let mut rgb = Vec::new();
    let size = width * height * 3;
    rgb.try_reserve_exact(size).map_err(|_| format!("not enough memory for {width} x {height} pixels"))?;
    rgb.resize(size, 0);
    Ok(Image { width, height, rgb })
}

/// Reads and decodes an image file.
///
/// # Errors
/// The file's name, and what [`read`] or [`decode`] says.
pub fn open(path: &Path) -> Result<Image> {
    read(path).and_then(|bytes| decode(&bytes)).map_err(|error| files::Error::file(path, error))
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

#[cfg(test)]
mod tests;

//! What an image format is: how its files are recognised and decoded.
//!
//! A new format is a file with an implementation of [`ImageFormat`] and a line in [`FORMATS`](super::FORMATS).

use super::limits::DecodeLimits;
use super::scale::Scale;
use crate::draft::Draft;
use crate::image::Image;

/// A file format of images.
pub trait ImageFormat: Sync {
    /// Its name.
    fn name(&self) -> &'static str;

    /// Endings of its files, in lower case.
    fn endings(&self) -> &'static [&'static str];

    /// Whether a file begins as this format's do.
    fn sniff(&self, bytes: &[u8]) -> bool;

    /// As [`sniff`](Self::sniff), for a file of any name: where the mark is so short that others begin with it, by what follows.
    fn is_certain(&self, start: &[u8]) -> bool {
        self.sniff(start)
    }

    /// Size and need of memory of a file that [`sniff`](Self::sniff) has accepted, or none if its header cannot be read.
    fn header(&self, bytes: &[u8]) -> Option<Header>;

    /// Decodes a file that [`sniff`](Self::sniff) has accepted to upright RGB.
    ///
    /// # Errors
    /// What is wrong with the file, in a line; a file beyond the limits.
    fn decode(&self, bytes: &[u8], limits: &DecodeLimits) -> Result<Image, String>;

    /// As [`decode`](Self::decode), at the part of its size that `choose` says of its upright height and width, where the format
    /// can; otherwise in full.
    ///
    /// # Errors
    /// As [`decode`](Self::decode).
    fn draft(&self, bytes: &[u8], limits: &DecodeLimits, _choose: &dyn Fn(usize, usize) -> Scale) -> Result<Draft, String> {
        self.decode(bytes, limits).map(Draft::full)
    }
}

/// Size of an image, and the most memory that decoding it takes. An estimate: the decoder has the last word, and refuses a file that
/// claims less than it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Columns.
    pub width: u64,
    /// Rows.
    pub height: u64,
    /// Bytes for each pixel: what the decoder keeps, the RGB image, and a copy of it that is turned upright.
    pub bytes_per_pixel: u64,
}

/// Bytes for each pixel of an RGB image and its upright copy.
pub(super) const RGB_TWICE: u64 = 6;

impl Header {
    /// Number of pixels.
    pub fn pixels(&self) -> u64 {
        self.width.saturating_mul(self.height)
    }

    /// Bytes for decoding.
    pub fn memory(&self) -> u64 {
        self.pixels().saturating_mul(self.bytes_per_pixel)
    }
}

/// The little-endian number in `count` bytes from byte `at` on.
pub(super) fn little_endian(bytes: &[u8], at: usize, count: usize) -> Option<u64> {
    let part = bytes.get(at..at + count)?;
    Some(part.iter().rev().fold(0u64, |value, &byte| value << 8 | u64::from(byte)))
}

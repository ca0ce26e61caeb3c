//! JPEG: ordinary files by [`baseline`], all others by libjpeg itself (the crate `mozjpeg` builds it from C without further tools), or
//! by a decoder in Rust in builds without the feature `libjpeg`.
//!
//! Pillow decodes by libjpeg-turbo, so nearly every published accuracy was measured on its rounding. Measured on 358
//! photographs and odd files: libjpeg gives Pillow's bits in all of them; jpeg-decoder 0.3.2 differs by up to 5 levels,
//! zune-jpeg 0.5.15 by up to 8, and three non-interleaved or luma-subsampled files come out as noise without an error. Hence
//! [`baseline`], which repeats libjpeg's arithmetic.
//! Damaged coefficients far out of range are the exception: libjpeg's vector code, which needs an assembler to build, cuts them off where
//! its C code wraps around. With that code off (JSIMD_FORCENONE=1) Pillow gave our bits in all of 671 files of random damage.
//! The vector code would also decode faster, but nobody should need an assembler for it.

#[cfg(feature = "libjpeg")]
mod libjpeg;
#[cfg(all(feature = "jpeg-rust", any(test, not(feature = "libjpeg"))))]
mod pure_rust;
#[cfg(all(test, feature = "jpeg-rust", feature = "libjpeg"))]
mod tests;

#[cfg(feature = "libjpeg")]
use libjpeg as others;
#[cfg(all(feature = "jpeg-rust", not(feature = "libjpeg")))]
use pure_rust as others;
#[cfg(not(any(feature = "libjpeg", feature = "jpeg-rust")))]
compile_error!("alexnet-image needs the feature `libjpeg` or `jpeg-rust` (of alexnet: `train` or `predict`)");

use std::cell::Cell;
use std::io::{self, BufRead, Read};

use super::format::{Header, ImageFormat};
use super::jpeg_outline::Outline;
use super::limits::{DecodeLimits, LATE, TRUNCATED};
use super::scale::Scale;
use super::{baseline, exif, jpeg_header, upright};
use crate::draft::Draft;
use crate::image::Image;

/// No Huffman coding brings more pixels into a byte: one bit a block of 64 pixels makes 512.
const MAX_PIXELS_PER_BYTE: u64 = 1024;

/// The deadline is checked whenever libjpeg has used up a chunk of bytes. A scan over all of a large image can lie in a hundred
/// bytes where there are several; where there is one, larger chunks are decoded faster.
const CHUNK_OF_SCANS: usize = 64;
const CHUNK: usize = 1 << 16;

/// JPEG.
#[derive(Debug)]
pub(super) struct Jpeg;

impl ImageFormat for Jpeg {
    fn name(&self) -> &'static str {
        "JPEG"
    }

    fn endings(&self) -> &'static [&'static str] {
        &["jpg", "jpeg", "jpe", "jfif", "jfi", "jif", "pjpeg", "pjp"]
    }

    fn sniff(&self, bytes: &[u8]) -> bool {
        bytes.starts_with(&[0xFF, 0xD8])
    }

    /// A marker follows the first one.
    fn is_certain(&self, start: &[u8]) -> bool {
        start.starts_with(&[0xFF, 0xD8, 0xFF])
    }

    fn header(&self, bytes: &[u8]) -> Option<Header> {
        jpeg_header::header(bytes)
    }

    fn decode(&self, bytes: &[u8], limits: &DecodeLimits) -> Result<Image, String> {
        decode(bytes, Scale::Full, limits, true)
    }

    fn draft(&self, bytes: &[u8], limits: &DecodeLimits, choose: &dyn Fn(usize, usize) -> Scale) -> Result<Draft, String> {
        draft(bytes, limits, choose, true)
    }
}

/// Decodes a file at a scale, if `fast` by [`baseline`] where it can.
pub(super) fn decode(bytes: &[u8], scale: Scale, limits: &DecodeLimits, fast: bool) -> Result<Image, String> {
    Ok(draft(bytes, limits, &|_, _| scale, fast)?.image)
}

/// Decodes a file that begins as JPEG files do, at the scale that `choose` says of its upright height and width.
fn draft(bytes: &[u8], limits: &DecodeLimits, choose: &dyn Fn(usize, usize) -> Scale, fast: bool) -> Result<Draft, String> {
    let outline = Outline::of(bytes)?;
    let (width, height) = (outline.width, outline.height);
    outline.check_features()?;
    limits.check_size(width, height)?;
    if !outline.is_arithmetic() && width * height / MAX_PIXELS_PER_BYTE > bytes.len() as u64 {
        return Err(format!("claims to have {width} x {height} pixels, which cannot be in {} bytes", bytes.len()));
    }
    outline.check_work(bytes.len())?;
    let orientation = exif::of_metadata(outline.exif.as_deref(), outline.xmp);
    let (width, height) = (width as usize, height as usize);
    let (width, height) = if orientation.is_turned() { (height, width) } else { (width, height) };
    let scale = choose(height, width);
    let finished = |image| {
        let image = upright::upright(image, orientation);
        Draft { image, width, height, scale, reversed: orientation.reversed() }
    };
    if fast && let Some(image) = baseline::decode(bytes, scale, limits)? {
        return Ok(finished(image));
    }

    Ok(finished(others::decode(bytes, &outline, scale, limits)?))
}

/// Red, green and blue of four inks as Adobe stores them, 255 for none, with the rounding of Pillow's conversion.
fn light_of_inks([c, m, y, k]: [u8; 4]) -> [u8; 3] {
    [c, m, y].map(|ink| {
        // Pillow first takes 255 - stored as the ink, then k - ink * k / 255, rounded.
        let product = (255 - u32::from(ink)) * u32::from(k) + 128;
        k.saturating_sub(((product + (product >> 8)) >> 8) as u8)
    })
}

/// Why the source gave no more bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    No,
    Ended,
    Late,
}

impl Stop {
    /// The result of decoding, or why it failed.
    fn or(self, result: Result<Image, String>) -> Result<Image, String> {
        match (result, self) {
            (Err(_), Stop::Late) => Err(LATE.into()),
            (Err(_), Stop::Ended) => Err(TRUNCATED.into()),
            (result, _) => result,
        }
    }
}

/// The bytes in chunks, then an error: libjpeg would fill what is missing in a truncated file with grey, quietly.
struct Chunks<'a> {
    rest: &'a [u8],
    chunk: usize,
    limits: &'a DecodeLimits,
    stop: &'a Cell<Stop>,
}

impl<'a> Chunks<'a> {
    fn new(bytes: &'a [u8], outline: &Outline<'_>, limits: &'a DecodeLimits, stop: &'a Cell<Stop>) -> Chunks<'a> {
        let chunk = if outline.is_progressive() { CHUNK_OF_SCANS } else { CHUNK };
        Chunks { rest: bytes, chunk, limits, stop }
    }
}

impl BufRead for Chunks<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.rest.is_empty() {
            self.stop.set(Stop::Ended);
            return Err(io::Error::other(TRUNCATED));
        }
        if self.limits.is_late() {
            self.stop.set(Stop::Late);
            return Err(io::Error::other(LATE));
        }
        Ok(&self.rest[..self.chunk.min(self.rest.len())])
    }

    fn consume(&mut self, n: usize) {
        self.rest = &self.rest[n.min(self.rest.len())..];
    }
}

impl Read for Chunks<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut ready = self.fill_buf()?;
        let n = ready.read(buffer)?;
        self.consume(n);
        Ok(n)
    }
}

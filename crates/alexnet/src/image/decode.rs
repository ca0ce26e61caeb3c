//! From the bytes of a picture file to an upright RGB picture.
//!
//! The format is told by the content, never by the name. The colours are those of Pillow's `convert("RGB")`, on which
//! every published PyTorch figure rests: alpha is dropped, not composited; a grey value stands in all three channels.
//! (One difference, on purpose: 16-bit grey keeps its high byte, where Pillow cuts all values above 255 to white.)

use std::fs::File;
use std::io::{Cursor, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};

use super::{Picture, jpeg, orient};

/// A picture of more pixels is refused from its header: Pillow's limit, beyond which it speaks of a decompression bomb.
pub const MAX_PIXELS: u64 = 178_956_970;

/// Larger files are refused, in bytes.
pub const MAX_FILE: u64 = 1 << 30;
pub(crate) const TOO_LARGE: &str = "the file has more than 1 GiB";

/// A decoder may take this much memory, in bytes, for a picture.
const MAX_MEMORY: u64 = 1 << 30;

/// Decodes JPEG, PNG, WebP, BMP or GIF (its first frame) to upright RGB.
///
/// # Errors
/// A line that says what is wrong with the bytes. No input makes this function panic, nor take more than about 2 GiB.
pub fn decode(bytes: &[u8]) -> Result<Picture, String> {
    decode_within(bytes, MAX_PIXELS)
}

/// What decoding may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeLimits {
    /// Images of more pixels are refused from their header.
    pub max_pixels: u64,
    /// Decoding stops with an error when this moment has passed.
    pub deadline: Option<std::time::Instant>,
}

impl Default for DecodeLimits {
    /// [`MAX_PIXELS`] and no deadline.
    fn default() -> Self {
        DecodeLimits { max_pixels: MAX_PIXELS, deadline: None }
    }
}

/// As [`decode`], within other limits.
///
/// # Errors
/// As [`decode`], and when the deadline has passed.
pub fn decode_with(bytes: &[u8], limits: &DecodeLimits) -> Result<Picture, String> {
    if limits.deadline.is_some_and(|deadline| std::time::Instant::now() >= deadline) {
        return Err("there was no time left to decode it".into());
    }
    decode_within(bytes, limits.max_pixels)
}

/// As [`decode`], for pictures of up to `most` pixels: others are refused from their header.
///
/// # Errors
/// As [`decode`].
pub fn decode_within(bytes: &[u8], most: u64) -> Result<Picture, String> {
    // The decoders are other people's: a panic in one of them on a strange file must not take a training run down.
    match catch_unwind(AssertUnwindSafe(|| decode_unguarded(bytes, most))) {
        Ok(result) => result,
        Err(_) => Err("the decoder gave up on it (a broken file)".into()),
    }
}

fn decode_unguarded(bytes: &[u8], most: u64) -> Result<Picture, String> {
    if bytes.is_empty() {
        return Err("empty file".into());
    }
    if bytes.starts_with(&[0xFF, 0xD8]) {
        return jpeg::decode(bytes, most);
    }
    let format = match image::guess_format(bytes) {
        Ok(format @ (ImageFormat::Png | ImageFormat::WebP | ImageFormat::Bmp | ImageFormat::Gif)) => format,
        Ok(format) => return Err(format!("{format:?} pictures are not read; convert it to JPEG or PNG")),
        Err(_) => return Err("not a JPEG, PNG, WebP, BMP or GIF picture".into()),
    };
    let broken = |error: image::ImageError| format!("broken {format:?}: {error}");

    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_MEMORY);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(broken)?;
    let (width, height) = decoder.dimensions();
    check_size(width.into(), height.into(), most)?;
    if decoder.total_bytes() > MAX_MEMORY {
        return Err(format!("{width} x {height} pixels of {} bytes do not fit in 1 GiB", decoder.color_type().bytes_per_pixel()));
    }
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    // Told before decoding: grey pictures are decoded to one channel, and so on.
    let colours = decoder.color_type();
    let image = DynamicImage::from_decoder(decoder).map_err(broken)?;
    let rgb = to_rgb(image).ok_or_else(|| format!("{colours:?} pictures are not read; convert it to 8-bit RGB"))?;
    Ok(orient::upright(Picture { width: width as usize, height: height as usize, rgb }, orientation))
}

/// Refuses a picture that claims to be enormous, or to have no pixels.
pub(super) fn check_size(width: u64, height: u64, most: u64) -> Result<(), String> {
    if width == 0 || height == 0 {
        return Err(format!("{width} x {height} pixels: there is nothing to see"));
    }
    if width.checked_mul(height).is_none_or(|pixels| pixels > most) {
        return Err(format!("claims to have {width} x {height} pixels; more than {most} are refused"));
    }
    Ok(())
}

/// Pillow's `convert("RGB")`: the high byte of 16-bit values, alpha dropped, grey three times.
fn to_rgb(image: DynamicImage) -> Option<Vec<u8>> {
    fn high_bytes(values: &[u16]) -> Vec<u8> {
        values.iter().map(|&v| (v >> 8) as u8).collect()
    }
    let (channels, values) = match image {
        DynamicImage::ImageRgb8(image) => return Some(image.into_raw()),
        DynamicImage::ImageRgba8(image) => (4, image.into_raw()),
        DynamicImage::ImageLuma8(image) => (1, image.into_raw()),
        DynamicImage::ImageLumaA8(image) => (2, image.into_raw()),
        DynamicImage::ImageRgb16(image) => return Some(high_bytes(image.as_raw())),
        DynamicImage::ImageRgba16(image) => (4, high_bytes(image.as_raw())),
        DynamicImage::ImageLuma16(image) => (1, high_bytes(image.as_raw())),
        DynamicImage::ImageLumaA16(image) => (2, high_bytes(image.as_raw())),
        _ => return None,
    };
    Some(match channels {
        4 => values.chunks_exact(4).flat_map(|p| [p[0], p[1], p[2]]).collect(),
        n => values.chunks_exact(n).flat_map(|p| [p[0]; 3]).collect(),
    })
}

/// Reads a picture file whole, unless it is larger than any picture should be.
///
/// # Errors
/// What the system said, or that the file is too large.
pub fn read(path: &Path) -> Result<Vec<u8>, String> {
    let unreadable = |error: std::io::Error| format!("cannot be read: {error}");
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err("cannot be read: not a regular file".into());
    }
    let file = File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_FILE { Err(TOO_LARGE.into()) } else { Ok(bytes) }
}

//! The image formats: how their files are recognised, measured and decoded.
//!
//! A new format is a file beside this one, with an [`ImageFormat`], and a line in [`FORMATS`].

use super::{DecodeLimits, bmp, gif, jpeg, png, webp};
use crate::Image;

/// A format of image files.
pub struct ImageFormat {
    /// Its name, as messages have it.
    pub name: &'static str,
    /// Endings of its files, in lower case.
    pub endings: &'static [&'static str],
    /// Whether the first bytes of a file are those of the format; 512 bytes are enough.
    pub(super) sniff: fn(&[u8]) -> bool,
    /// Decodes a file that begins as the format's files do.
    pub(super) decode: fn(&[u8], &DecodeLimits) -> Result<Image, String>,
    /// Reads size and cost from the header of such a file.
    pub(super) header: fn(&[u8]) -> Option<Header>,
}

/// Every format that is read.
pub const FORMATS: &[ImageFormat] = &[jpeg::FORMAT, png::FORMAT, webp::FORMAT, bmp::FORMAT, gif::FORMAT];

/// The format of a file with these first bytes.
pub(super) fn of(start: &[u8]) -> Option<&'static ImageFormat> {
    FORMATS.iter().find(|format| (format.sniff)(start))
}

/// The names of all formats, for messages: `JPEG, PNG, WebP, BMP or GIF`.
pub fn names() -> String {
    let names: Vec<&str> = FORMATS.iter().map(|format| format.name).collect();
    let (last, rest) = names.split_last().expect("formats");
    format!("{} or {last}", rest.join(", "))
}

/// Whether a file with these first bytes is an image that is read; 512 bytes are enough.
pub fn is_image(start: &[u8]) -> bool {
    of(start).is_some_and(|format| format.name != bmp::FORMAT.name || bmp::has_header(start))
}

/// The name of an image format that is not read, by a file's first bytes.
pub fn unread_format(start: &[u8]) -> Option<&'static str> {
    const UNREAD: [(&[u8], &str); 14] = [
        (b"II*\0", "TIFF"),
        (b"MM\0*", "TIFF"),
        (b"II+\0", "TIFF"),
        (b"\0\0\x01\0", "ICO"),
        (b"8BPS", "PSD"),
        (b"DDS ", "DDS"),
        (b"qoif", "QOI"),
        (b"\x76\x2F\x31\x01", "OpenEXR"),
        (b"#?RADIANCE", "HDR"),
        (b"farbfeld", "farbfeld"),
        (b"\xFF\x0A", "JPEG XL"),
        (b"\0\0\0\x0CJXL ", "JPEG XL"),
        (b"\0\0\0\x0CjP  ", "JPEG 2000"),
        (b"\xFF\x4F\xFF\x51", "JPEG 2000"),
    ];
    if let Some((_, name)) = UNREAD.iter().find(|(magic, _)| start.starts_with(magic)) {
        return Some(name);
    }
    if start.get(4..8) == Some(b"ftyp") {
        return match start.get(8..12)? {
            b"avif" | b"avis" => Some("AVIF"),
            b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"hevx" | b"mif1" | b"msf1" => Some("HEIC"),
            _ => None,
        };
    }
    matches!(start, [b'P', b'1'..=b'7', b' ' | b'\t' | b'\r' | b'\n', ..]).then_some("PNM")
}

/// What an image file says of itself before it is decoded: its size, and so what decoding takes.
///
/// Only an estimate: the decoder has the last word. It refuses a file that claims less than it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Columns.
    pub width: u64,
    /// Rows.
    pub height: u64,
    /// Peak memory per pixel: the decoder's buffers, the RGB image, and an upright copy of it.
    pub bytes_per_pixel: u64,
}

impl Header {
    /// Pixels.
    pub fn pixels(&self) -> u64 {
        self.width.saturating_mul(self.height)
    }

    /// Bytes of memory for decoding.
    pub fn memory(&self) -> u64 {
        self.pixels().saturating_mul(self.bytes_per_pixel)
    }
}

/// Bytes per pixel of an RGB image and its upright copy.
pub(super) const RGB_TWICE: u64 = 6;

/// Reads the header of an image file of any format.
pub fn header(bytes: &[u8]) -> Option<Header> {
    of(bytes).and_then(|format| (format.header)(bytes))
}

/// The unsigned number in `count` bytes at `at`, the lowest first.
pub(super) fn little_endian(bytes: &[u8], at: usize, count: usize) -> Option<u64> {
    let part = bytes.get(at..at + count)?;
    Some(part.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alexnet_testkit::images::{self, ColorType};

    #[test]
    fn names_are_listed_as_in_a_sentence() {
        assert_eq!(names(), "JPEG, PNG, WebP, BMP or GIF");
    }

    #[test]
    fn sizes_match_the_encoders() {
        let png = images::png(300, 200, ColorType::Rgba, &[7; 300 * 200 * 4]);
        assert_eq!(header(&png), Some(Header { width: 300, height: 200, bytes_per_pixel: 7 }));
        let pixels = &[7; 300 * 200 * 3];
        let bmp = images::bmp(300, 200, pixels);
        assert_eq!(header(&bmp).map(|header| header.pixels()), Some(60_000));
        let webp = images::webp(300, 200, pixels);
        assert_eq!(header(&webp).map(|header| (header.width, header.height)), Some((300, 200)));
        let gif = images::gif(300, 200, pixels);
        assert_eq!(header(&gif).map(|header| (header.width, header.height)), Some((300, 200)));
        for file in [png, bmp, webp, gif] {
            (0..30).for_each(|end| assert!(header(&file[..end]).is_none_or(|header| header.pixels() < 1 << 40)));
        }
    }
}

//! WebP: the container is read here, the first frame's bitstream by the crate `image-webp`, which gives libwebp's bits.
//!
//! Alpha is dropped, so that its chunk need not be read; around a first frame that does not fill the canvas it is black.

use std::io::Cursor;

use image_webp::{DecodingError, WebPDecoder};

use super::format::{Header, ImageFormat, little_endian};
use super::limits::{DecodeLimits, TRUNCATED, black};
use super::{exif, upright};
use crate::image::Image;

/// The bits of an extended header.
const ANIMATED: u8 = 0x02;
const HAS_XMP: u8 = 0x04;
const HAS_EXIF: u8 = 0x08;

/// What the chunks of a file hold.
#[derive(Default)]
struct Parts<'a> {
    flags: u8,
    /// Width and height of an extended file.
    canvas: Option<(u64, u64)>,
    /// Left and top of the frame, in pixels.
    place: (u64, u64),
    /// Name and content of the frame's bitstream.
    frame: Option<(&'a [u8; 4], &'a [u8])>,
    exif: Option<&'a [u8]>,
    xmp: Option<&'a [u8]>,
}

/// WebP.
#[derive(Debug)]
pub(super) struct WebP;

impl ImageFormat for WebP {
    fn name(&self) -> &'static str {
        "WebP"
    }

    fn endings(&self) -> &'static [&'static str] {
        &["webp"]
    }

    fn sniff(&self, bytes: &[u8]) -> bool {
        bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP")
    }

    fn header(&self, bytes: &[u8]) -> Option<Header> {
        let number = |at, count| little_endian(bytes, at, count);
        let (width, height) = match bytes.get(12..16)? {
            b"VP8X" => (number(24, 3)? + 1, number(27, 3)? + 1),
            b"VP8L" => (number(21, 4)? % (1 << 14) + 1, (number(21, 4)? >> 14) % (1 << 14) + 1),
            _ => (number(26, 2)? % (1 << 14), number(28, 2)? % (1 << 14)),
        };
        Some(Header { width, height, bytes_per_pixel: 9 })
    }

    fn decode(&self, bytes: &[u8], limits: &DecodeLimits) -> Result<Image, String> {
        decode(bytes, limits)
    }
}

/// Decodes a file that begins as WebP files do.
fn decode(bytes: &[u8], limits: &DecodeLimits) -> Result<Image, String> {
    let size = u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]) as usize;
    // The rest of the file is no part of the image.
    let body = bytes[12..].get(..size.saturating_sub(4)).ok_or(TRUNCATED)?;
    let mut parts = Parts::default();
    parts.read(body)?;
    let (name, stream) = parts.frame.ok_or("broken WebP: there is no image in it")?;

    let file = [
        &b"RIFF"[..],
        &(stream.len() as u32 + 12 + stream.len() as u32 % 2).to_le_bytes(),
        b"WEBP",
        name,
        &(stream.len() as u32).to_le_bytes(),
        stream,
        &[0][..stream.len() % 2],
    ]
    .concat();
    let broken = |error: DecodingError| match error {
        DecodingError::IoError(_) => TRUNCATED.to_string(),
        error => format!("broken WebP: {error}"),
    };
    let mut decoder = WebPDecoder::new(Cursor::new(file)).map_err(broken)?;
    let (columns, rows) = decoder.dimensions();
    let (columns, rows) = (u64::from(columns), u64::from(rows));
    limits.check_size(columns, rows)?;
    let (width, height) = parts.canvas.unwrap_or((columns, rows));
    limits.check_size(width, height)?;
    let (left, top) = parts.place;
    let fits = left + columns <= width && top + rows <= height;
    if !fits || (parts.flags & ANIMATED == 0 && (columns, rows) != (width, height)) {
        return Err(format!("broken WebP: its image of {columns} x {rows} pixels is not that of its header, {width} x {height}"));
    }
    let mut pixels = vec![0; decoder.output_buffer_size().ok_or("broken WebP: it is too large")?];
    decoder.read_image(&mut pixels).map_err(broken)?;
    limits.check_time()?;

    let samples = if decoder.has_alpha() { 4 } else { 3 };
    let image = if samples == 3 && (columns, rows) == (width, height) {
        Image { width: width as usize, height: height as usize, rgb: pixels }
    } else {
        let mut image = black(width as usize, height as usize)?;
        let rows = image.rgb.chunks_exact_mut(width as usize * 3).skip(top as usize);
        for (row, pixels) in rows.zip(pixels.chunks_exact(columns as usize * samples)) {
            let places = row.chunks_exact_mut(3).skip(left as usize);
            places.zip(pixels.chunks_exact(samples)).for_each(|(place, pixel)| place.copy_from_slice(&pixel[..3]));
        }
        image
    };
    Ok(upright::upright(image, exif::of_metadata(parts.exif, parts.xmp)))
}

impl<'a> Parts<'a> {
    fn read(&mut self, body: &'a [u8]) -> Result<(), String> {
        let mut first = true;
        for chunk in chunks(body) {
            let (name, data) = chunk?;
            match name {
                b"VP8X" if first => {
                    let [flags, _, _, _, w0, w1, w2, h0, h1, h2, ..] = *data else { return Err(TRUNCATED.into()) };
                    let number = |bytes: [u8; 3]| u64::from(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0])) + 1;
                    self.flags = flags;
                    self.canvas = Some((number([w0, w1, w2]), number([h0, h1, h2])));
                }
                b"ANMF" if self.flags & ANIMATED != 0 && self.frame.is_none() => {
                    let [x0, x1, x2, y0, y1, y2, ..] = *data else { return Err(TRUNCATED.into()) };
                    let number = |bytes: [u8; 3]| u64::from(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0])) * 2;
                    self.place = (number([x0, x1, x2]), number([y0, y1, y2]));
                    for chunk in chunks(data.get(16..).ok_or(TRUNCATED)?) {
                        if let (name @ (b"VP8 " | b"VP8L"), data) = chunk? {
                            self.frame.get_or_insert((name, data));
                        }
                    }
                }
                b"VP8 " | b"VP8L" if self.flags & ANIMATED == 0 => {
                    self.frame.get_or_insert((name, data));
                }
                b"EXIF" if self.flags & HAS_EXIF != 0 => {
                    self.exif.get_or_insert(data);
                }
                b"XMP " if self.flags & HAS_XMP != 0 => {
                    self.xmp.get_or_insert(data);
                }
                _ => {}
            }
            first = false;
        }
        Ok(())
    }
}

/// Name and content of each chunk; an error for one that is cut off.
fn chunks(body: &[u8]) -> impl Iterator<Item = Result<(&[u8; 4], &[u8]), String>> {
    let mut rest = body;
    std::iter::from_fn(move || {
        let (name, behind) = rest.split_first_chunk::<4>()?;
        let Some((length, behind)) = behind.split_first_chunk::<4>() else {
            rest = &[];
            return Some(Err(TRUNCATED.into()));
        };
        let length = u32::from_le_bytes(*length) as usize;
        let Some(data) = behind.get(..length) else {
            rest = &[];
            return Some(Err(TRUNCATED.into()));
        };
        rest = behind.get(length + length % 2..).unwrap_or_default();
        Some(Ok((name, data)))
    })
}

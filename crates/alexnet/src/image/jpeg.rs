//! JPEG, by libjpeg itself (the crate `mozjpeg` builds it from C without further tools).
//!
//! Pillow decodes by libjpeg-turbo, so nearly every published accuracy was measured on its rounding. Measured on 358
//! photographs and odd files: libjpeg gives Pillow's bits in all of them; jpeg-decoder 0.3.2 differs by up to 5 levels,
//! zune-jpeg 0.5.15 by up to 8, and three non-interleaved or luma-subsampled files come out as noise without an error.
//! On one core of the same machine they decode 0.9, 1.05 and 2 thousand 400-pixel pictures a second.

use std::io::{self, BufRead, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};

use image::metadata::Orientation;
use mozjpeg::{ColorSpace, Decompress, Marker};

use super::decode::check_size;
use super::{Picture, orient};

/// No JPEG coding brings more pixels into a byte: one bit a block of 64 pixels makes 512.
const MAX_PIXELS_PER_BYTE: u64 = 1024;

/// A progressive file draws the whole picture again in each scan; real ones have about ten, an attack thousands.
const MAX_SCANS: usize = 500;

/// Decodes a file that begins as JPEG files do.
pub(super) fn decode(bytes: &[u8], most: u64) -> Result<Picture, String> {
    // libjpeg's errors arrive by unwinding, with the message as payload.
    match catch_unwind(AssertUnwindSafe(|| decode_unwinding(bytes, most))) {
        Ok(result) => result,
        Err(payload) => {
            let message = payload.downcast_ref::<String>().map_or("damaged", |text| text.as_str());
            Err(format!("broken JPEG: {}", message.trim_start_matches("libjpeg fatal error: ")))
        }
    }
}

fn decode_unwinding(bytes: &[u8], most: u64) -> Result<Picture, String> {
    let broken = |error: io::Error| format!("broken JPEG: {error}");
    let decoder = Decompress::builder().with_markers(&[Marker::APP(1)]).from_reader(Whole { rest: bytes }).map_err(broken)?;
    let (width, height) = decoder.size();
    let pixels = width as u64 * height as u64;
    check_size(width as u64, height as u64, most)?;
    if pixels / MAX_PIXELS_PER_BYTE > bytes.len() as u64 {
        return Err(format!("claims to have {width} x {height} pixels, which cannot be in {} bytes", bytes.len()));
    }
    if bytes.windows(2).filter(|pair| pair == &[0xFF, 0xDA]).count() > MAX_SCANS {
        return Err(format!("broken JPEG: more than {MAX_SCANS} scans"));
    }
    let exif = decoder.markers().find_map(|marker| marker.data.strip_prefix(b"Exif\0\0").map(<[u8]>::to_vec));
    let orientation = exif.and_then(|exif| Orientation::from_exif_chunk(&exif)).unwrap_or(Orientation::NoTransforms);

    let rgb = match decoder.color_space() {
        ColorSpace::JCS_CMYK | ColorSpace::JCS_YCCK => {
            let mut started = decoder.to_colorspace(ColorSpace::JCS_CMYK).map_err(broken)?;
            let inks: Vec<[u8; 4]> = started.read_scanlines().map_err(broken)?;
            started.finish().map_err(broken)?;
            inks.into_iter().flat_map(light_of_inks).collect()
        }
        _ => {
            let mut started = decoder.rgb().map_err(broken)?;
            let rgb: Vec<u8> = started.read_scanlines().map_err(broken)?;
            started.finish().map_err(broken)?;
            rgb
        }
    };
    if rgb.len() as u64 != pixels * 3 {
        return Err("broken JPEG: rows are missing".into());
    }
    Ok(orient::upright(Picture { width, height, rgb }, orientation))
}

/// Red, green and blue of four inks as Adobe stores them, 255 for none, with the rounding of Pillow's conversion.
fn light_of_inks([c, m, y, k]: [u8; 4]) -> [u8; 3] {
    [c, m, y].map(|ink| {
        // Pillow first takes 255 - stored as the ink, then k - ink * k / 255, rounded.
        let product = (255 - u32::from(ink)) * u32::from(k) + 128;
        k.saturating_sub(((product + (product >> 8)) >> 8) as u8)
    })
}

/// All bytes at once, then an error: libjpeg would fill what is missing in a truncated file with grey, quietly.
struct Whole<'a> {
    rest: &'a [u8],
}

impl BufRead for Whole<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.rest.is_empty() {
            return Err(io::Error::other("the file ends too early"));
        }
        Ok(self.rest)
    }

    fn consume(&mut self, n: usize) {
        self.rest = &self.rest[n.min(self.rest.len())..];
    }
}

impl Read for Whole<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.rest.read(buffer)
    }
}

//! Image headers: the size of an image and the memory to decode it, read before decoding.
//!
//! These are only estimates. The decoder checks again, and rejects a file larger than its header claims.

/// Image size, and maximum memory for decoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) width: u64,
    pub(crate) height: u64,
    /// Bytes per pixel: decoder buffers, the RGB image, and a rotated copy of it.
    pub(crate) bytes_per_pixel: u64,
}

impl Header {
    pub(crate) fn pixels(&self) -> u64 {
        self.width.saturating_mul(self.height)
    }

    /// Memory for decoding in bytes.
    pub(crate) fn memory(&self) -> u64 {
        self.pixels().saturating_mul(self.bytes_per_pixel)
    }
}

/// Bytes per pixel of an RGB image and its rotated copy.
const RGB_TWICE: u64 = 6;

/// Reads the header of a JPEG, PNG, GIF, BMP or WebP file.
pub(crate) fn header(bytes: &[u8]) -> Option<Header> {
    let le = |at: usize, count: usize| {
        let part = bytes.get(at..at + count)?;
        Some(part.iter().rev().fold(0u64, |value, &byte| value << 8 | u64::from(byte)))
    };
    let be = |at: usize| Some(u64::from(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?)));
    match bytes {
        [0xFF, 0xD8, ..] => jpeg(bytes),
        [0x89, b'P', b'N', b'G', ..] => {
            let (depth, colour) = (*bytes.get(24)?, *bytes.get(25)?);
            let channels = match colour {
                0 => 1,
                2 => 3,
                4 => 2,
                _ => 4,
            };
            // 16-bit values are first reduced to bytes, then converted to RGB.
            let bytes_per_pixel = if depth == 16 { 3 * channels } else { channels + 3 };
            Some(Header { width: be(16)?, height: be(20)?, bytes_per_pixel: bytes_per_pixel.max(RGB_TWICE) })
        }
        [b'G', b'I', b'F', ..] => Some(Header { width: le(6, 2)?, height: le(8, 2)?, bytes_per_pixel: 8 }),
        [b'B', b'M', ..] => {
            let (width, height) = if le(14, 4)? == 12 { (le(18, 2)?, le(20, 2)?) } else { (le(18, 4)?, le(22, 4)?) };
            // A negative height means rows from the top.
            Some(Header { width, height: u64::from((height as u32 as i32).unsigned_abs()), bytes_per_pixel: 7 })
        }
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => {
            let (width, height) = match bytes.get(12..16)? {
                b"VP8X" => (le(24, 3)? + 1, le(27, 3)? + 1),
                b"VP8L" => (le(21, 4)? % (1 << 14) + 1, (le(21, 4)? >> 14) % (1 << 14) + 1),
                _ => (le(26, 2)? % (1 << 14), le(28, 2)? % (1 << 14)),
            };
            Some(Header { width, height, bytes_per_pixel: 9 })
        }
        _ => None,
    }
}

/// Reads the frame header of a JPEG file, and whether all coefficients are kept until the last scan.
fn jpeg(bytes: &[u8]) -> Option<Header> {
    let (mut at, mut frame) = (2, None);
    loop {
        at += bytes.get(at..)?.iter().position(|&byte| byte == 0xFF)?;
        at += bytes.get(at..)?.iter().position(|&byte| byte != 0xFF)?;
        let marker = bytes[at];
        at += 1;
        match marker {
            0x00 | 0x01 | 0xD0..=0xD8 => continue,
            0xD9 => return None,
            _ => {}
        }
        let length = usize::from(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
        let segment = bytes.get(at..at + length.max(2))?;
        at += segment.len();
        match marker {
            0xC4 | 0xC8 | 0xCC => {}
            0xC0..=0xCF => {
                let &[_, _, _, y1, y0, x1, x0, components, ref rest @ ..] = segment else { return None };
                let size = |high: u8, low: u8| u64::from(high) << 8 | u64::from(low);
                let sampling = rest.chunks_exact(3).map(|component| (component[1] >> 4, component[1] & 15));
                let blocks: u64 = sampling.clone().map(|(h, v)| u64::from(h) * u64::from(v)).sum();
                let largest = sampling.clone().map(|(h, _)| h).max()?.max(1) * sampling.map(|(_, v)| v).max()?.max(1);
                // Two bytes for each value of each component.
                let coefficients = (2 * blocks).div_ceil(u64::from(largest));
                let progressive = matches!(marker, 0xC2 | 0xC6 | 0xCA | 0xCE);
                frame = Some((size(x1, x0), size(y1, y0), components, coefficients, progressive));
            }
            0xDA => {
                let (width, height, components, coefficients, progressive) = frame?;
                let kept = if progressive || segment.get(2)? < &components { coefficients } else { 0 };
                let colours = if components == 4 { 7 } else { 3 };
                return Some(Header { width, height, bytes_per_pixel: (kept + colours).max(RGB_TWICE) });
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alexnet_testkit::images::{self, ColorType};

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

    #[test]
    fn progressive_jpeg_keeps_its_coefficients() {
        // Start, a comment, a frame of 100 x 50 with three 4:2:0 components, a scan of all of them.
        let file = |frame: u8, scan: u8| {
            let mut file = b"\xFF\xD8\xFF\xFE\x00\x04\xFF\xD9".to_vec();
            file.extend([0xFF, 0xFF, frame, 0, 17, 8, 0, 50, 0, 100, 3, 1, 0x22, 0, 2, 0x11, 0, 3, 0x11, 0]);
            file.extend([0xFF, 0xDA, 0, 3, scan]);
            file
        };
        let of = |bytes_per_pixel| Some(Header { width: 100, height: 50, bytes_per_pixel });
        assert_eq!(header(&file(0xC0, 3)), of(6));
        assert_eq!(header(&file(0xC2, 1)), of(6));
        let mut full = file(0xC2, 1);
        full[20] = 0x11;
        assert_eq!(full[19..22], [1, 0x11, 0]);
        assert_eq!(header(&full), of(9));
        assert_eq!(header(&full[..20]), None);
        // Many scans of one component each, which sequential files may have too.
        assert_eq!(header(&file(0xC0, 1)), of(6));
    }
}

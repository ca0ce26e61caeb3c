//! The frame header of a JPEG file: its size, and what its coding keeps in memory.

use super::format::{Header, RGB_TWICE};

/// The frame header of a JPEG file, and whether all coefficients must be kept until the last scan.
pub(super) fn header(bytes: &[u8]) -> Option<Header> {
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

    #[test]
    fn progressive_jpeg_keeps_its_coefficients() {
        // Start, a comment, a frame of 100 x 50 with three components of 4:2:0, a scan of all of them.
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
        // Many scans of one component each, as a sequential file may have, too.
        assert_eq!(header(&file(0xC0, 1)), of(6));
    }
}

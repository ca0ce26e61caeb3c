//! How the camera was held, by the metadata of a file: EXIF's tag 274, or `tiff:Orientation` in XMP, as Pillow reads them.

use super::upright::Orientation;

const TAG: u16 = 274;

/// The orientation by EXIF, or else by XMP.
pub(super) fn of_metadata(exif: Option<&[u8]>, xmp: Option<&[u8]>) -> Orientation {
    // A tag without meaning hides the one in XMP.
    let value = exif.and_then(of_exif).or_else(|| xmp.and_then(of_xmp));
    value.and_then(Orientation::from_exif).unwrap_or(Orientation::NoTransforms)
}

/// Removes what may stand before the TIFF header: `Exif\0\0`, once or twice.
fn tiff(exif: &[u8]) -> &[u8] {
    const HEAD: &[u8] = b"Exif\0\0";
    let once = exif.strip_prefix(HEAD).unwrap_or(exif);
    once.strip_prefix(HEAD).unwrap_or(once)
}

/// The value of the first tag 274; 0 for one that is not a whole number.
fn of_exif(exif: &[u8]) -> Option<u8> {
    let bytes = tiff(exif);
    let big = match bytes.get(..4)? {
        [b'I', b'I', 42, 0] | [b'I', b'I', 0, 42] => false,
        [b'M', b'M', 0, 42] | [b'M', b'M', 42, 0] => true,
        _ => return None,
    };
    let u16_at = |at: usize| {
        let value = bytes.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(if big { u16::from_be_bytes(value) } else { u16::from_le_bytes(value) })
    };
    let u32_at = |at: usize| {
        let value = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(if big { u32::from_be_bytes(value) } else { u32::from_le_bytes(value) })
    };
    let directory = u32_at(4)? as usize;
    for entry in 0..usize::from(u16_at(directory)?) {
        let at = directory + 2 + entry * 12;
        if u16_at(at)? != TAG {
            continue;
        }
        let (kind, count) = (u16_at(at + 2)?, u64::from(u32_at(at + 4)?));
        let size = match kind {
            1 | 2 | 6 | 7 => 1,
            3 | 8 => 2,
            4 | 9 | 11 | 13 => 4,
            5 | 10 | 12 | 16 => 8,
            _ => continue,
        };
        if count == 0 {
            continue;
        }
        let value = if count * size > 4 { u32_at(at + 8)? as usize } else { at + 8 };
        if (bytes.len() as u64) < value as u64 + count * size {
            continue;
        }
        // Bytes and text are no numbers to Pillow either; of several values the first counts.
        let number = match kind {
            6 => f64::from(bytes[value] as i8),
            3 => f64::from(u16_at(value)?),
            8 => f64::from(u16_at(value)? as i16),
            4 | 13 => f64::from(u32_at(value)?),
            9 => f64::from(u32_at(value)? as i32),
            11 => f64::from(f32::from_bits(u32_at(value)?)),
            5 => f64::from(u32_at(value)?) / f64::from(u32_at(value + 4)?),
            10 => f64::from(u32_at(value)? as i32) / f64::from(u32_at(value + 4)? as i32),
            12 | 16 => {
                let (first, second) = (u64::from(u32_at(value)?), u64::from(u32_at(value + 4)?));
                let bits = if big { first << 32 | second } else { second << 32 | first };
                if kind == 12 { f64::from_bits(bits) } else { bits as f64 }
            }
            _ => 0.0,
        };
        return Some(if (1.0..=8.0).contains(&number) && number.fract() == 0.0 { number as u8 } else { 0 });
    }
    None
}

/// The digit of the first `tiff:Orientation="N` or `tiff:Orientation>N`.
fn of_xmp(xmp: &[u8]) -> Option<u8> {
    const NAME: &[u8] = b"tiff:Orientation";
    let mut rest = xmp;
    while let Some(at) = rest.windows(NAME.len()).position(|window| window == NAME) {
        rest = &rest[at + NAME.len()..];
        if let [b'=', b'"', digit @ b'0'..=b'9', ..] | [b'>', digit @ b'0'..=b'9', ..] = rest {
            return Some(digit - b'0');
        }
    }
    None
}

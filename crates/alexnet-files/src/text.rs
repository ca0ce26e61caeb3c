//! Text files written by people and other programs: image lists, class names, settings.

use super::regular::read_named;
use std::io;
use std::path::Path;

/// Size limit; a list of ten million images has about 500 MB.
const MAX_BYTES: u64 = 1 << 30;

/// Reads a whole text file. A byte-order mark is removed, and UTF-16 with one, as PowerShell writes it, is decoded.
///
/// # Errors
/// When the file cannot be read, exceeds 1 GiB, is not text, or is neither a regular file nor already opened by the shell
/// (`<(command)`, `/dev/stdin`): reading any other pipe could block forever.
pub fn read_text(path: impl AsRef<Path>) -> io::Result<String> {
    let bytes = read_named(path.as_ref(), MAX_BYTES)?;
    decode(bytes).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not UTF-8 text; save it as UTF-8"))
}

/// The text at the start of a file, in any of the encodings of [`read_text`]. A character that is cut off is replaced.
pub fn start_of_text(bytes: &[u8]) -> String {
    match encoding(bytes) {
        Encoding::Utf8(text) => String::from_utf8_lossy(text).into_owned(),
        Encoding::Utf16(units, _) => String::from_utf16_lossy(&units),
    }
}

/// Bytes of text without their byte-order mark.
enum Encoding<'a> {
    Utf8(&'a [u8]),
    /// Units, and whether half a unit follows.
    Utf16(Vec<u16>, bool),
}

fn encoding(bytes: &[u8]) -> Encoding<'_> {
    let wide = |order: fn([u8; 2]) -> u16, bytes: &[u8]| {
        let (units, rest) = bytes.as_chunks::<2>();
        Encoding::Utf16(units.iter().map(|&unit| order(unit)).collect(), !rest.is_empty())
    };
    match bytes {
        [0xEF, 0xBB, 0xBF, text @ ..] => Encoding::Utf8(text),
        [0xFF, 0xFE, text @ ..] => wide(u16::from_le_bytes, text),
        [0xFE, 0xFF, text @ ..] => wide(u16::from_be_bytes, text),
        _ => Encoding::Utf8(bytes),
    }
}

fn decode(bytes: Vec<u8>) -> Option<String> {
    match encoding(&bytes) {
        // Without a mark, the whole list is text already.
        Encoding::Utf8(text) if text.len() == bytes.len() => String::from_utf8(bytes).ok(),
        Encoding::Utf8(text) => String::from_utf8(text.to_vec()).ok(),
        Encoding::Utf16(units, cut) => String::from_utf16(&units).ok().filter(|_| !cut),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn byte_order_marks_are_removed_and_utf_16_is_decoded() {
        let (plain, marked) = (b"k\xC3\xA4se\r\n".to_vec(), b"\xEF\xBB\xBFk\xC3\xA4se\r\n".to_vec());
        let wide = |order: fn(u16) -> [u8; 2]| "\u{FEFF}käse\r\n".encode_utf16().flat_map(order).collect::<Vec<u8>>();
        for bytes in [plain, marked, wide(u16::to_le_bytes), wide(u16::to_be_bytes)] {
            assert_eq!(decode(bytes).as_deref(), Some("käse\r\n"));
        }
        assert_eq!((decode(b"\xFF\xFEa".to_vec()), decode(b"k\xE4se".to_vec())), (None, None));
    }

    #[test]
    fn the_start_may_be_cut_within_a_character() {
        assert_eq!(start_of_text("\u{FEFF}ü".as_bytes()), "ü");
        assert_eq!(start_of_text(&"ü".as_bytes()[..1]), "\u{FFFD}");
        assert_eq!(start_of_text(b"\xFF\xFEa\0b"), "a");
        assert_eq!(start_of_text(b"\xFE\xFF\0a"), "a");
    }
}

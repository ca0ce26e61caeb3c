//! Text files that people and other programs write: lists of images, names of classes, settings.

use super::regular::read_named;
use std::io;
use std::path::Path;

/// A larger file is refused: a list of ten million images has about 500 MB.
const MAX_BYTES: u64 = 1 << 30;

/// Reads a text file whole. A byte-order mark is removed; UTF-16, which PowerShell writes, is understood where it has one.
///
/// # Errors
/// When it cannot be read, has more than 1 GiB, is not text, or is neither a regular file nor what the shell has opened already
/// (`<(command)`, `/dev/stdin`): any other pipe would be waited for without end.
pub fn read_text(path: impl AsRef<Path>) -> io::Result<String> {
    let bytes = read_named(path.as_ref(), MAX_BYTES)?;
    decode(bytes).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "this is not UTF-8 text; save it as UTF-8"))
}

fn decode(bytes: Vec<u8>) -> Option<String> {
    let wide = |order: fn([u8; 2]) -> u16, bytes: &[u8]| {
        let (units, rest) = bytes.as_chunks::<2>();
        let text = String::from_utf16(&units.iter().map(|&unit| order(unit)).collect::<Vec<_>>()).ok();
        text.filter(|_| rest.is_empty())
    };
    match bytes.as_slice() {
        [0xEF, 0xBB, 0xBF, text @ ..] => String::from_utf8(text.to_vec()).ok(),
        [0xFF, 0xFE, text @ ..] => wide(u16::from_le_bytes, text),
        [0xFE, 0xFF, text @ ..] => wide(u16::from_be_bytes, text),
        _ => String::from_utf8(bytes).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn byte_order_marks_are_removed_and_utf_16_is_understood() {
        let (plain, marked) = (b"k\xC3\xA4se\r\n".to_vec(), b"\xEF\xBB\xBFk\xC3\xA4se\r\n".to_vec());
        let wide = |order: fn(u16) -> [u8; 2]| "\u{FEFF}käse\r\n".encode_utf16().flat_map(order).collect::<Vec<u8>>();
        for bytes in [plain, marked, wide(u16::to_le_bytes), wide(u16::to_be_bytes)] {
            assert_eq!(decode(bytes).as_deref(), Some("käse\r\n"));
        }
        assert_eq!((decode(b"\xFF\xFEa".to_vec()), decode(b"k\xE4se".to_vec())), (None, None));
    }
}

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
    fn byte_order_marks_are_removed_and_utf_16_is_decoded() {
        let (plain, marked) = (b"k\xC3\xA4se\r\n".to_vec(), b"\xEF\xBB\xBFk\xC3\xA4se\r\n".to_vec());
        let wide = |order: fn(u16) -> [u8; 2]| "\u{FEFF}käse\r\n".encode_utf16().flat_map(order).collect::<Vec<u8>>();
        for bytes in [plain, marked, wide(u16::to_le_bytes), wide(u16::to_be_bytes)] {
            assert_eq!(decode(bytes).as_deref(), Some("käse\r\n"));
        }
        assert_eq!((decode(b"\xFF\xFEa".to_vec()), decode(b"k\xE4se".to_vec())), (None, None));
    }
}

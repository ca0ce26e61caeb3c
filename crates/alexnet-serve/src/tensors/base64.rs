//! Lenient base64 decoding: line breaks, missing padding and `data:` URLs.

use std::borrow::Cow;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

const LENIENT: GeneralPurpose =
    GeneralPurpose::new(&STANDARD, GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent));

/// Decodes the bytes of a file.
pub(super) fn decode(text: &str) -> Result<Vec<u8>, String> {
    let expected = "send the file's bytes in base64 (A-Z a-z 0-9 + /), or as binary data";
    let text = text.trim_ascii_start();
    let text = match text.get(..5) {
        Some(scheme) if scheme.eq_ignore_ascii_case("data:") => match text.split_once(',') {
            Some((head, data)) if head.trim_ascii_end().to_ascii_lowercase().ends_with(";base64") => data,
            _ => return Err(format!("a data: URL without base64; {expected}")),
        },
        _ => text,
    };
    let is_space = |byte: &u8| byte.is_ascii_whitespace();
    let text = if text.as_bytes().iter().any(is_space) {
        Cow::Owned(text.bytes().filter(|byte| !is_space(byte)).collect::<Vec<u8>>())
    } else {
        Cow::Borrowed(text.as_bytes())
    };
    LENIENT.decode(text).map_err(|error| format!("not base64: {error}; {expected}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_breaks_and_data_urls_are_accepted() {
        for text in ["/9g=", "/9g", "/9\r\ng=\n", "  /9g=", "data:image/jpeg;base64,/9g=", "DATA:;base64,/9\n g="] {
            assert_eq!(decode(text), Ok(vec![0xFF, 0xD8]), "{text:?}");
        }
        assert_eq!(decode(""), Ok(Vec::new()));
        for (text, part) in
            [("?", "not base64"), ("_-g=", "A-Z a-z 0-9 + /"), ("data:image/png,abc", "data: URL"), ("a", "not base64")]
        {
            let error = decode(text).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}

//! Answers that are not the file, although the server says that all is well.

/// A captive portal, a proxy or a sign-in page.
const PAGE: &str =
    "the answer is a web page instead of the file; a sign-in page of this network or of the site may be in between";
/// GitHub sends it where the storage of large files is not available.
const POINTER: &str = "the answer is a Git LFS pointer instead of the file";

/// Recognises a web page by its declared type.
pub(super) fn of_type(content_type: Option<&str>) -> Option<&'static str> {
    let kind = content_type?.split(';').next()?.trim();
    (kind.eq_ignore_ascii_case("text/html") || kind.eq_ignore_ascii_case("application/xhtml+xml")).then_some(PAGE)
}

/// Recognises a web page or a pointer by its first bytes.
pub(super) fn of_beginning(bytes: &[u8]) -> Option<&'static str> {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes).trim_ascii_start();
    let starts = |with: &[u8]| bytes.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with));
    if starts(b"version https://git-lfs") {
        return Some(POINTER);
    }
    [&b"<!doctype"[..], b"<html", b"<head", b"<?xml", b"<!--"].into_iter().any(starts).then_some(PAGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_recognised_and_weights_are_not() {
        assert_eq!(of_type(Some("text/HTML; charset=utf-8")), Some(PAGE));
        assert_eq!((of_type(Some("application/octet-stream")), of_type(Some("text/plain")), of_type(None)), (None, None, None));
        for page in ["<!DOCTYPE html><html>", "\u{FEFF}\n  <HTML lang=en>", "<?xml version='1.0'?>"] {
            assert_eq!(of_beginning(page.as_bytes()), Some(PAGE));
        }
        assert_eq!(of_beginning(b"version https://git-lfs.github.com/spec/v1\noid"), Some(POINTER));
        // The beginnings of a .pth, a pickle, a .caffemodel and an ONNX file.
        for weights in [&b"PK\x03\x04"[..], b"\x80\x02}q", b"\n\x07AlexNet", b"\x08\x03\x12", b"", b"<"] {
            assert_eq!(of_beginning(weights), None);
        }
    }
}

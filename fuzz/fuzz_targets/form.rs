//! Multipart forms with images: a content type, a newline, the body.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let (kind, body) = bytes.split_at(bytes.iter().position(|b| *b == b'\n').unwrap_or(bytes.len()));
    let body = body.get(1..).unwrap_or_default();
    if let Ok(parts) = alexnet_serve::parts(&String::from_utf8_lossy(kind), body) {
        // Every content is a slice of the body, and they do not overlap.
        let all: usize = parts.iter().map(|part| part.content.len()).sum();
        assert!(all <= body.len());
        assert!(parts.iter().all(|part| part.content.is_empty() || body.as_ptr_range().contains(&part.content.as_ptr())));
    }
});

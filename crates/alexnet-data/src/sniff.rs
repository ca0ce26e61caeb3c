//! File type detection from the first bytes.

use crate::image::decode;

/// Number of leading bytes needed.
pub(crate) const START: usize = 512;

/// Detected type of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// An image in a format that the decoder supports.
    Image,
    /// An image in an unsupported format.
    Unread(&'static str),
    /// A compressed file or archive: its name, and the command to unpack it.
    Packed(&'static str, &'static str),
    /// A tar archive.
    Tar,
    /// A zip archive.
    Zip,
    /// A compressed file that may contain a tar archive.
    Compressed(Codec),
    /// A Parquet table.
    Parquet,
    /// Anything else.
    Other,
}

/// Supported compression of a whole file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Codec {
    Gzip,
    Zstd,
}

/// Detects the type of a file from its first bytes.
pub(crate) fn content(start: &[u8]) -> Content {
    let at = |offset: usize, magic: &[u8]| start.get(offset..).is_some_and(|rest| rest.starts_with(magic));
    if decode::FORMATS.iter().any(|format| format.is_certain(start)) {
        return Content::Image;
    }
    if let Some(name) = decode::unread(start) {
        return Content::Unread(name);
    }
    let supported: [(&[u8], Content); 5] = [
        (b"\x1F\x8B\x08", Content::Compressed(Codec::Gzip)),
        (b"\x28\xB5\x2F\xFD", Content::Compressed(Codec::Zstd)),
        (b"PK\x03\x04", Content::Zip),
        // Without members.
        (b"PK\x05\x06", Content::Zip),
        (b"PAR1", Content::Parquet),
    ];
    if let Some((_, content)) = supported.iter().find(|(magic, _)| at(0, magic)) {
        return *content;
    }
    const PACKED: [(&[u8], &str, &str); 5] = [
        (b"BZh", "bzip2", "tar -xjf"),
        (b"\xFD7zXZ\0", "xz", "tar -xJf"),
        (b"\x1F\x9D", "compress", "tar -xZf"),
        (b"7z\xBC\xAF\x27\x1C", "7-Zip", "7z x"),
        (b"Rar!\x1A\x07", "RAR", "unrar x"),
    ];
    if let Some((_, name, command)) = PACKED.iter().find(|(magic, ..)| at(0, magic)) {
        return Content::Packed(name, command);
    }
    if at(257, b"ustar") { Content::Tar } else { Content::Other }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_identified_by_their_first_bytes() {
        let mut bmp = b"BM\x3a\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0".to_vec();
        bmp.resize(54, 0);
        for image in [b"\xFF\xD8\xFF\xE0".as_slice(), b"\x89PNG\r\n\x1A\n", b"GIF89a", b"RIFF\0\0\0\0WEBP", &bmp] {
            assert_eq!(content(image), Content::Image);
        }
        let unread = [
            (b"II*\0\x08\0".as_slice(), "TIFF"),
            (b"P6 64 64 255\n", "PNM"),
            (b"\0\0\0\x18ftypheic", "HEIC"),
            (b"\0\0\0\x18ftypavif", "AVIF"),
        ];
        for (start, name) in unread {
            assert_eq!(content(start), Content::Unread(name));
        }
        for (start, expected) in [
            (b"\x1F\x8B\x08".as_slice(), Content::Compressed(Codec::Gzip)),
            (b"\x28\xB5\x2F\xFD", Content::Compressed(Codec::Zstd)),
            (b"PK\x03\x04", Content::Zip),
            (b"PAR1", Content::Parquet),
        ] {
            assert_eq!(content(start), expected);
        }
        assert!(matches!(content(b"BZh9"), Content::Packed("bzip2", _)));
        for other in [b"".as_slice(), b"BMW and others", b"notes", b"RIFF\0\0\0\0WAVE", b"\0\0\0\x18ftypisom", b"PASCAL"] {
            assert_eq!(content(other), Content::Other);
        }
    }
}

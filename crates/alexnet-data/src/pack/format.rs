//! Header, index entries and footer of a pack, as bytes.

use serde::{Deserialize, Serialize};
use std::io::{self, Read};

/// First bytes of a pack. Like PNG's, they reveal a transfer as text.
pub(crate) const MAGIC: &[u8; 12] = b"\x89ALEXPACK\r\n\x1a";
const VERSION: u32 = 1;
/// Bytes of the header before its JSON object.
const HEAD: usize = 24;
/// Longest JSON object: a million class names fit.
const MAX_JSON: usize = 64 << 20;

/// Last bytes of a pack.
const END: &[u8; 8] = b"ALEXPEND";
/// Bytes of the footer.
pub(super) const FOOTER: usize = 40;

/// Bytes of an entry besides its name and reason, after its length and checksum.
const FIXED: usize = 18;
/// Longest entry.
const MAX_ENTRY: usize = 1 << 20;

/// What is done to the images of a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "encoding", rename_all = "kebab-case")]
pub enum Form {
    /// Nothing: the files as they are.
    Original,
    /// Resized to a short side and encoded as JPEG with the chroma at half the resolution. Images that are not larger stay as they are.
    Jpeg {
        /// Short side in pixels.
        short_side: usize,
        /// Quality, 1 to 100, on libjpeg's scale.
        quality: u8,
    },
    /// Resized to a short side, as pixels. Smaller images keep their size.
    Raw {
        /// Short side in pixels.
        short_side: usize,
    },
}

impl std::fmt::Display for Form {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Form::Original => write!(f, "the original files"),
            Form::Jpeg { short_side, quality } => write!(f, "short side {short_side}, JPEG of quality {quality}"),
            Form::Raw { short_side } => write!(f, "short side {short_side}, uncompressed pixels"),
        }
    }
}

/// What stands before the images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Header {
    pub(super) form: Form,
    pub(super) source: Origin,
    /// One without a name where the source has no splits.
    pub(super) splits: Vec<SplitClasses>,
}

/// The set that was packed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Origin {
    /// Name of its folder or file.
    pub(super) name: String,
    pub(super) images: u64,
    /// Size of its image files.
    pub(super) bytes: u64,
    /// Checksum of all names, labels and sizes.
    pub(super) fingerprint: u32,
}

/// A split and its classes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct SplitClasses {
    pub(super) name: String,
    pub(super) classes: Vec<String>,
}

impl Header {
    /// The header's bytes.
    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, String> {
        let json = serde_json::to_vec(self).map_err(|error| error.to_string())?;
        if json.len() > MAX_JSON {
            return Err("the names of the classes take more than 64 MiB".into());
        }
        let mut bytes = MAGIC.to_vec();
        for number in [VERSION, json.len() as u32, crc32fast::hash(&json)] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(json);
        Ok(bytes)
    }

    /// Reads a header; also returns its length.
    pub(super) fn read(file: &mut impl Read) -> Result<(Header, u64), String> {
        let damaged = |_| "its header is truncated".to_string();
        let mut head = [0; HEAD];
        file.read_exact(&mut head).map_err(damaged)?;
        if &head[..MAGIC.len()] != MAGIC {
            return Err("its first bytes are not those of a pack".into());
        }
        let [version, length, sum] = [12, 16, 20].map(|at| u32_at(&head, at));
        if version != VERSION {
            return Err(format!("it has version {version} of the format, and this program reads version {VERSION}"));
        }
        if length as usize > MAX_JSON {
            return Err("its header is damaged".into());
        }
        let mut json = Vec::new();
        file.by_ref().take(length.into()).read_to_end(&mut json).map_err(damaged)?;
        if json.len() != length as usize || crc32fast::hash(&json) != sum {
            return Err("its header is damaged".into());
        }
        let header: Header = serde_json::from_slice(&json).map_err(|error| format!("its header is not understood: {error}"))?;
        if header.splits.is_empty() {
            return Err("its header is damaged: no splits".into());
        }
        Ok((header, (HEAD + json.len()) as u64))
    }
}

/// How an image is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Kept = 0,
    Encoded = 1,
    Pixels = 2,
    Skipped = 3,
}

/// An entry of the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    pub(super) kind: Kind,
    pub(super) split: u8,
    pub(super) label: u32,
    /// Length of the image's bytes.
    pub(super) bytes: u32,
    /// Their checksum.
    pub(super) sum: u32,
    pub(super) name: &'a str,
    /// Why the image was left out; otherwise empty.
    pub(super) reason: &'a str,
}

impl Entry<'_> {
    /// Appends the entry's bytes.
    pub(super) fn write(&self, out: &mut Vec<u8>) -> Result<(), String> {
        // Decoders quote little of a file, but what they say is not ours.
        let reason = &self.reason[..self.reason.floor_char_boundary(1 << 10)];
        if FIXED + self.name.len() + reason.len() > MAX_ENTRY {
            return Err("its name is longer than 1 MB".into());
        }
        let start = out.len();
        out.extend([0; 8]);
        out.extend([self.kind as u8, self.split]);
        for number in [self.label, self.bytes, self.sum, self.name.len() as u32] {
            out.extend(number.to_le_bytes());
        }
        out.extend(self.name.as_bytes());
        out.extend(reason.as_bytes());
        let body = &out[start + 8..];
        let (length, sum) = (body.len() as u32, crc32fast::hash(body));
        out[start..start + 4].copy_from_slice(&length.to_le_bytes());
        out[start + 4..start + 8].copy_from_slice(&sum.to_le_bytes());
        Ok(())
    }

    /// Reads the next entry into `buffer`; `None` at the end of the file.
    ///
    /// # Errors
    /// What is wrong, where the entry is cut off or damaged.
    pub(super) fn read<'a>(file: &mut impl Read, buffer: &'a mut Vec<u8>) -> Result<Option<Entry<'a>>, String> {
        let unreadable = |error: io::Error| format!("cannot be read: {error}");
        buffer.clear();
        file.by_ref().take(8).read_to_end(buffer).map_err(unreadable)?;
        match buffer.len() {
            0 => return Ok(None),
            8 => {}
            _ => return Err("ends within an entry".into()),
        }
        let (length, sum) = (u32_at(buffer, 0) as usize, u32_at(buffer, 4));
        if !(FIXED..=MAX_ENTRY).contains(&length) {
            return Err("has an entry of impossible length".into());
        }
        buffer.clear();
        file.by_ref().take(length as u64).read_to_end(buffer).map_err(unreadable)?;
        if buffer.len() != length {
            return Err("ends within an entry".into());
        }
        if crc32fast::hash(buffer) != sum {
            return Err("has an entry with a wrong checksum".into());
        }
        Entry::of(buffer).map(Some).ok_or_else(|| "has an entry that makes no sense".into())
    }

    /// The size of this entry in the index.
    pub(super) fn size(&self) -> u64 {
        (8 + FIXED + self.name.len() + self.reason.len()) as u64
    }

    fn of(body: &[u8]) -> Option<Entry<'_>> {
        let kind = [Kind::Kept, Kind::Encoded, Kind::Pixels, Kind::Skipped].into_iter().find(|kind| *kind as u8 == body[0])?;
        let [label, bytes, sum, length] = [2, 6, 10, 14].map(|at| u32_at(body, at));
        let (name, reason) = body[FIXED..].split_at_checked(length as usize)?;
        let [name, reason] = [name, reason].map(|text| std::str::from_utf8(text).ok());
        let entry = Entry { kind, split: body[1], label, bytes, sum, name: name?, reason: reason? };
        (kind != Kind::Skipped || bytes == 0).then_some(entry)
    }
}

/// What stands at the end of a whole pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Footer {
    /// Start of the index.
    pub(super) start: u64,
    /// Length of the index in bytes.
    pub(super) length: u64,
    /// Number of its entries.
    pub(super) entries: u64,
    /// Its checksum.
    pub(super) sum: u32,
}

impl Footer {
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let mut bytes: Vec<u8> = [self.start, self.length, self.entries].into_iter().flat_map(u64::to_le_bytes).collect();
        bytes.extend(self.sum.to_le_bytes());
        bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
        bytes.extend(END);
        bytes
    }

    /// The footer of a file of `size` bytes; `None` if these are not its bytes.
    pub(super) fn of(bytes: &[u8; FOOTER], size: u64) -> Option<Footer> {
        let [start, length, entries] = [0, 8, 16].map(|at| u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32);
        let footer = Footer { start, length, entries, sum: u32_at(bytes, 24) };
        let end = start.checked_add(length)?.checked_add(FOOTER as u64)?;
        (footer.to_bytes() == bytes && end == size).then_some(footer)
    }
}

/// The little-endian number at a position.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

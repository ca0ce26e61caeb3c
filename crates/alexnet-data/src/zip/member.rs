//! Members of a zip file, read from their positions.

use crate::Result;
use crate::image::decode;
use crate::read_at::{Window, read_exact_at};
use crate::stored::Store;
use flate2::Crc;
use flate2::bufread::DeflateDecoder;
use std::fs::File;
use std::io::{BufReader, Read};

/// Location of a member, as the directory of the zip claims it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    /// Offset of the local header, which the bytes follow.
    pub(super) header: u64,
    /// Length in the file.
    pub(super) stored: u32,
    /// Length of the content.
    pub(super) size: u32,
    pub(super) crc: u32,
    pub(super) deflated: bool,
}

/// Members of an open zip file.
pub(crate) struct Members {
    pub(super) file: File,
}

impl Store for Members {
    type Place = Place;

    fn read(&self, _: &str, place: Place) -> Result<Option<Vec<u8>>> {
        let bytes = read(&self.file, place, u64::from(place.size))?;
        let mut crc = Crc::new();
        crc.update(&bytes);
        if crc.sum() != place.crc {
            return Err("damaged: its checksum differs from the zip's; copy the zip again".into());
        }
        Ok(Some(bytes))
    }

    fn size(&self, _: &str, place: Place) -> Option<u64> {
        Some(place.size.into())
    }
}

/// Largest ratio of deflate: 258 bytes from two bits, and some bytes around them.
const MOST_DEFLATED: u64 = 1032;

/// The first `most` bytes of a member. No memory is allocated for a size that the stored bytes cannot expand to.
pub(super) fn read(file: &File, place: Place, most: u64) -> Result<Vec<u8>, String> {
    let (stored, size) = (u64::from(place.stored), u64::from(place.size));
    if size > decode::MAX_FILE || stored > decode::MAX_FILE {
        return Err(decode::TOO_LARGE.into());
    }
    if if place.deflated { size > stored.saturating_mul(MOST_DEFLATED) } else { size != stored } {
        return Err(format!("damaged: {stored} bytes in the zip cannot hold {size}"));
    }
    let unreadable = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => "truncated within the zip; copy it again".to_string(),
        _ => format!("cannot be read: {error}"),
    };
    let mut header = [0; 30];
    read_exact_at(file, &mut header, place.header).map_err(unreadable)?;
    if !header.starts_with(b"PK\x03\x04") {
        return Err("damaged: not at the place that the zip's directory says; copy the zip again".into());
    }
    // The lengths of name and extra field, which may differ from those in the directory.
    let length = |at: usize| u64::from(u16::from_le_bytes([header[at], header[at + 1]]));
    let start = place.header + 30 + length(26) + length(28);
    let wanted = most.min(size);
    let mut bytes = Vec::with_capacity(wanted as usize);
    let window = Window { file, start, size: stored, at: 0 };
    // One byte more than expected shows a member that is longer than it claims.
    let limit = if wanted == size { size + 1 } else { wanted };
    let read = if place.deflated {
        DeflateDecoder::new(BufReader::with_capacity(1 << 15, window)).take(limit).read_to_end(&mut bytes)
    } else {
        window.take(limit).read_to_end(&mut bytes)
    };
    read.map_err(|error| match error.kind() {
        std::io::ErrorKind::InvalidInput | std::io::ErrorKind::InvalidData => format!("damaged: {error}; copy the zip again"),
        _ => unreadable(error),
    })?;
    if bytes.len() as u64 != wanted {
        return Err(format!("damaged or truncated: {} bytes instead of {wanted}; copy the zip again", bytes.len()));
    }
    Ok(bytes)
}

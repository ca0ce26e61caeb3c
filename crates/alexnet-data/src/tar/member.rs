//! Members of a tar file, read from their positions.

use crate::Result;
use crate::image::decode;
use crate::read_at::{ReadFrom, read_image};
use crate::stored::Store;
use std::fs::File;
use std::io::Read;

/// Location of a file's bytes in the tar.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    /// Offset of the bytes, or of the header for a sparse file.
    pub(crate) start: u64,
    pub(crate) bytes: u64,
    /// Whether zeros are omitted, as by `tar --sparse`.
    pub(crate) sparse: bool,
}

/// Members of an open tar file.
pub(crate) struct Members {
    pub(crate) file: File,
}

impl Store for Members {
    type Place = Place;

    fn read(&self, _: &str, place: Place) -> Result<Option<Vec<u8>>> {
        Ok(Some(read(&self.file, place)?))
    }

    fn size(&self, _: &str, place: Place) -> Option<u64> {
        Some(place.bytes)
    }
}

/// Maximum size of a sparse file: a few bytes in a tar can claim any number of zeros.
const MAX_SPARSE: u64 = 64 << 20;

/// Bytes of a file.
pub(crate) fn read(file: &File, place: Place) -> Result<Vec<u8>, String> {
    if !place.sparse || place.bytes > decode::MAX_FILE {
        return read_image(file, place.start, place.bytes);
    }
    if place.bytes > MAX_SPARSE {
        return Err("a sparse file of more than 64 MiB; pack it without --sparse".into());
    }
    let unreadable = |error: std::io::Error| format!("cannot be read: {error}");
    let mut buffer = vec![0; place.bytes as usize];
    let mut archive = ::tar::Archive::new(ReadFrom { file, at: place.start });
    let mut entries = archive.entries().map_err(unreadable)?;
    let mut entry = entries.next().ok_or("cannot be read: its header is missing")?.map_err(unreadable)?;
    entry.read_exact(&mut buffer).map_err(unreadable)?;
    Ok(buffer)
}

//! Images of a pack, read from their positions.
//!
//! They are read into memory, not mapped: the bytes are copied once in either case, since a decoder or an [`Image`] takes them, and
//! a file that is truncated or on a failing disk gives an error, where access to a mapping would kill the process.

use super::format::u32_at;
use crate::image::Image;
use crate::read_at::read_exact_at;
use crate::stored::Store;
use crate::{Error, Result};
use std::fs::File;

/// Place of an image in a pack.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(super) start: u64,
    pub(super) bytes: u32,
    pub(super) sum: u32,
    /// Whether the bytes are pixels, not an image file.
    pub(super) pixels: bool,
}

/// Bytes before the pixels: width and height.
pub(super) const SIZE: usize = 8;

/// An open pack.
pub(super) struct Packed {
    pub(super) file: File,
}

impl Packed {
    /// Fills the buffer with the image's bytes from `skip`, whose first ones are in `head`, and checks them all.
    fn fill(&self, head: &[u8], buffer: &mut [u8], place: Place) -> Result<()> {
        read_exact_at(&self.file, buffer, place.start + head.len() as u64).map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => "the pack has become shorter since it was opened".to_string(),
            _ => format!("cannot be read: {error}"),
        })?;
        let mut sum = crc32fast::Hasher::new();
        sum.update(head);
        sum.update(buffer);
        if sum.finalize() == place.sum { Ok(()) } else { Err("damaged in the pack (wrong checksum)".into()) }
    }
}

impl Store for Packed {
    type Place = Place;

    fn read(&self, _: &str, place: Place) -> Result<Option<Vec<u8>>> {
        if place.pixels {
            return Ok(None);
        }
        let mut bytes = vec![0; place.bytes as usize];
        self.fill(&[], &mut bytes, place)?;
        Ok(Some(bytes))
    }

    fn size(&self, _: &str, place: Place) -> Option<u64> {
        Some(place.bytes.into())
    }

    fn pixels(&self, _: &str, place: Place) -> Result<Image> {
        let damaged = || Error::from("damaged in the pack (its size is not that of its pixels)");
        let values = (place.bytes as usize).checked_sub(SIZE).ok_or_else(damaged)?;
        let mut head = [0; SIZE];
        read_exact_at(&self.file, &mut head, place.start).map_err(|error| format!("cannot be read: {error}"))?;
        let [width, height] = [0, 4].map(|at| u32_at(&head, at) as usize);
        let size = width.checked_mul(height).and_then(|pixels| pixels.checked_mul(3));
        if size != Some(values) || values == 0 {
            return Err(damaged());
        }
        let mut rgb = vec![0; values];
        self.fill(&head, &mut rgb, place)?;
        Ok(Image { width, height, rgb })
    }
}

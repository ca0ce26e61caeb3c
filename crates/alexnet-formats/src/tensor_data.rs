//! The numbers of a tensor, in memory or where they lie in a file.

use crate::{Error, Result};
use memmap2::Mmap;
use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

/// The numbers of a tensor: in memory, or in a mapped file, which the system reads when they are looked at. Copies share
/// them.
///
/// A mapped file must stay as it is: else the program may end with a bus error.
#[derive(Clone)]
pub struct TensorData(Kind);

#[derive(Clone)]
enum Kind {
    Memory(Arc<Vec<f32>>),
    /// `len` floats from byte `start` on, which is a multiple of 4.
    File {
        mapping: Mapping,
        start: usize,
        len: usize,
    },
}

impl TensorData {
    /// Whether they lie in a file, so that keeping them takes no memory of this program.
    pub fn is_mapped(&self) -> bool {
        matches!(self.0, Kind::File { .. })
    }
}

impl std::ops::Deref for TensorData {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match &self.0 {
            Kind::Memory(values) => values,
            Kind::File { mapping, start, len } => {
                // SAFETY: any bits are a float. `Mapping::values` made sure that the mapping has these bytes, that they
                // begin at a multiple of 4, and that floats are little-endian here.
                unsafe { std::slice::from_raw_parts(mapping.0[*start..*start + *len * size_of::<f32>()].as_ptr().cast(), *len) }
            }
        }
    }
}

impl From<Vec<f32>> for TensorData {
    fn from(values: Vec<f32>) -> Self {
        TensorData(Kind::Memory(Arc::new(values)))
    }
}

impl FromIterator<f32> for TensorData {
    fn from_iter<I: IntoIterator<Item = f32>>(values: I) -> Self {
        values.into_iter().collect::<Vec<_>>().into()
    }
}

impl PartialEq for TensorData {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl std::fmt::Debug for TensorData {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} values in {}", self.len(), if self.is_mapped() { "a file" } else { "memory" })
    }
}

/// A whole file in the address space.
#[derive(Debug, Clone)]
pub struct Mapping(Arc<Mmap>);

impl Mapping {
    /// Maps a file of `length` bytes.
    ///
    /// While the mapping lives, nobody may shorten the file or write into it: where it was cut off the process dies of a bus
    /// error, and changed weights give other answers. This program itself only ever replaces files by renaming, which
    /// leaves a mapped one as it was; so do package managers and most tools that copy. `cp` over a model file that is being
    /// served does not.
    ///
    /// # Errors
    /// When the system cannot map it, or it no longer has this length.
    pub fn open(path: &Path, file: &File, length: u64) -> Result<Mapping> {
        // SAFETY: read only; that nobody changes the file is asked of the user, above.
        let mapping = unsafe { Mmap::map(file) }.map_err(|e| Error::io(path, e))?;
        // It may have been cut off since its header was checked.
        if mapping.len() as u64 != length {
            return Err(Error::file(
                path,
                format!("changed from {length} to {} bytes while it was opened; try again", mapping.len()),
            ));
        }
        Ok(Mapping(Arc::new(mapping)))
    }

    /// `len` floats from byte `start` on, or none where they cannot be used in place: past the end, not at a multiple of 4,
    /// or on a big-endian processor.
    pub fn values(&self, start: usize, len: usize) -> Option<TensorData> {
        let end = len.checked_mul(size_of::<f32>()).and_then(|bytes| start.checked_add(bytes))?;
        let bytes = self.0.get(start..end)?;
        let usable = cfg!(target_endian = "little") && bytes.as_ptr().cast::<f32>().is_aligned();
        usable.then(|| TensorData(Kind::File { mapping: self.clone(), start, len }))
    }
}

/// Values that are asked for when they are written.
pub(crate) trait LateValues {
    /// Number of values.
    fn count(&self) -> usize;

    /// The values.
    fn values(&self) -> Cow<'_, [f32]>;
}

/// Writes f32, little-endian.
pub fn write_values(out: &mut dyn Write, values: &[f32]) -> io::Result<()> {
    let mut bytes = [0u8; 1 << 16];
    for part in values.chunks(bytes.len() / size_of::<f32>()) {
        for (to, value) in bytes.chunks_exact_mut(size_of::<f32>()).zip(part) {
            to.copy_from_slice(&value.to_le_bytes());
        }
        out.write_all(&bytes[..size_of_val(part)])?;
    }
    Ok(())
}

/// Rows and columns exchanged.
pub(crate) fn transposed(values: &[f32], shape: &[usize]) -> Vec<f32> {
    let &[rows, columns] = shape else { return values.to_vec() };
    // In blocks, so that neither side leaves the cache at every step.
    const BLOCK: usize = 32;
    let mut out = vec![0.0; values.len()];
    for top in (0..rows).step_by(BLOCK) {
        for left in (0..columns).step_by(BLOCK) {
            for row in top..rows.min(top + BLOCK) {
                for column in left..columns.min(left + BLOCK) {
                    out[column * rows + row] = values[row * columns + column];
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_changed_its_length_is_not_mapped_and_nothing_is_read_past_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m");
        std::fs::write(&path, [1u8; 100]).unwrap();
        let file = File::open(&path).unwrap();
        let message = Mapping::open(&path, &file, 101).unwrap_err().to_string();
        assert!(message.contains("from 101 to 100 bytes"), "{message}");
        let mapping = Mapping::open(&path, &file, 100).unwrap();
        let odd = f32::from_le_bytes([1; 4]);
        if cfg!(target_endian = "little") {
            assert_eq!(mapping.values(4, 24).as_deref(), Some([odd; 24].as_slice()));
            assert!(mapping.values(4, 24).unwrap().is_mapped());
            assert_eq!(mapping.values(100, 0).as_deref(), Some([].as_slice()));
        }
        for (start, len) in [(1, 1), (2, 4), (7, 1), (4, 25), (100, 1), (104, 0), (4, usize::MAX), (usize::MAX, 1)] {
            assert!(mapping.values(start, len).is_none(), "{len} at {start}");
        }
    }
}

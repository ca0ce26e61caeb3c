//! Tensor values, in memory or in a mapped file.

use crate::{Error, Result};
use memmap2::Mmap;
use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

/// Tensor values: in memory, or in a mapped file that the system reads on access. Clones share them.
///
/// A mapped file must stay unchanged; otherwise the program may die of a bus error.
#[derive(Clone)]
pub struct TensorData(Kind);

#[derive(Clone)]
enum Kind {
    Memory(Arc<Vec<f32>>),
    /// `len` floats from byte `start`, a multiple of 4.
    File {
        mapping: Mapping,
        start: usize,
        len: usize,
    },
}

impl TensorData {
    /// Whether the values are in a mapped file and take no memory of this program.
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
                // SAFETY: any bits are a valid float. `Mapping::values` checked that the mapping has these bytes, that they start
                // at a multiple of 4, and that floats are little-endian here.
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
    /// While the mapping lives, nobody may truncate the file or write to it: access past the end kills the process with a bus
    /// error, and changed weights change the outputs. This program only ever replaces files by renaming, which leaves a mapped
    /// one intact; so do package managers and most copy tools. `cp` over a model file that is being served does not.
    ///
    /// # Errors
    /// When the system cannot map it, or its length has changed.
    pub fn open(path: &Path, file: &File, length: u64) -> Result<Mapping> {
        // SAFETY: read-only; the doc comment above requires that nobody changes the file.
        let mapping = unsafe { Mmap::map(file) }.map_err(|e| Error::io(path, e))?;
        // It may have been truncated since its header was checked.
        if mapping.len() as u64 != length {
            return Err(Error::file(
                path,
                format!("changed from {length} to {} bytes while it was being opened; try again", mapping.len()),
            ));
        }
        Ok(Mapping(Arc::new(mapping)))
    }

    /// `len` floats from byte `start`, or `None` where they cannot be used in place: past the end, misaligned, or on a big-endian
    /// processor.
    pub fn values(&self, start: usize, len: usize) -> Option<TensorData> {
        let end = len.checked_mul(size_of::<f32>()).and_then(|bytes| start.checked_add(bytes))?;
        let bytes = self.0.get(start..end)?;
        let usable = cfg!(target_endian = "little") && bytes.as_ptr().cast::<f32>().is_aligned();
        usable.then(|| TensorData(Kind::File { mapping: self.clone(), start, len }))
    }
}

/// Values that are fetched when they are written.
pub(crate) trait LateValues {
    /// Number of values.
    fn count(&self) -> usize;

    /// The values.
    fn values(&self) -> Cow<'_, [f32]>;
}

/// Writes f32 values in little-endian order.
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

/// Transposes a matrix.
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
    fn a_file_with_a_changed_length_is_not_mapped_and_reads_stay_in_bounds() {
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

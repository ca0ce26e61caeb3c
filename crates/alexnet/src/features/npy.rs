//! NumPy's `.npy` format: a magic number, the length of a header, the header as a Python dictionary, the values. Follows
//! `numpy/lib/format.py`, version 1.0.

use crate::formats::npy::MAGIC;
use crate::formats::{Mapping, TensorData, write_values};
use crate::{Error, Result};
use std::io::{self, Read, Write};
use std::path::Path;

/// Header, padded so that the values start at a cache line.
fn header(rows: usize, shape: &[usize]) -> Vec<u8> {
    let axes: String = std::iter::once(&rows).chain(shape).map(|n| format!("{n}, ")).collect();
    let mut text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}), }}", axes.trim_end()).into_bytes();
    let end = (MAGIC.len() + 2 + text.len() + 1).next_multiple_of(64);
    text.resize(end - MAGIC.len() - 3, b' ');
    text.push(b'\n');
    let mut all = MAGIC.to_vec();
    all.extend((text.len() as u16).to_le_bytes());
    all.append(&mut text);
    all
}

/// Writes `[rows, shape...]`.
pub(super) fn write(out: &mut dyn Write, rows: usize, shape: &[usize], values: &[f32]) -> io::Result<()> {
    out.write_all(&header(rows, shape))?;
    write_values(out, values)
}

/// The values of a file with this exact shape, memory-mapped.
pub(super) fn map(path: &Path, rows: usize, shape: &[usize]) -> Result<TensorData> {
    let wanted = header(rows, shape);
    let (file, length) = crate::files::open_regular(path).map_err(|e| Error::io(path, e))?;
    let mut found = Vec::new();
    (&file).take(wanted.len() as u64).read_to_end(&mut found).map_err(|e| Error::io(path, e))?;
    // Another program's file may be padded differently; then it has no sidecar of ours either.
    if found != wanted {
        let message = format!("header does not match the {rows} images of {shape:?} in its .json; recreate both");
        return Err(Error::file(path, message));
    }
    let count = shape.iter().try_fold(rows, |all, &n| all.checked_mul(n));
    let bytes = count.and_then(|n| n.checked_mul(size_of::<f32>())).and_then(|n| n.checked_add(wanted.len()));
    if bytes.map(|bytes| bytes as u64) != Some(length) {
        return Err(Error::file(path, format!("has {length} bytes, which do not match {rows} images; copy it again")));
    }
    let values = Mapping::open(path, &file, length)?.values(wanted.len(), count.unwrap_or_default());
    values.ok_or_else(|| Error::file(path, "its values cannot be memory-mapped on this machine"))
}

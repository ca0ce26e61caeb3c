//! NumPy's `.npy`: a magic number, the header length, the header as a Python dictionary, the values. Follows
//! `numpy/lib/format.py`, version 1.0.

use std::io::Read;

/// Magic number of the format.
pub const MAGIC: [u8; 8] = *b"\x93NUMPY\x01\x00";

/// Reads an array of floats or bytes from a file of the given length: its shape, and its values in row-major order.
///
/// # Errors
/// Another element type or order, or a file whose length does not match its header.
pub fn read(file: &mut impl Read, length: u64) -> Result<(Vec<usize>, Vec<f32>), String> {
    let mut begin = [0; 10];
    file.read_exact(&mut begin).map_err(|e| format!("its header: {e}"))?;
    let header = u64::from(u16::from_le_bytes([begin[8], begin[9]]));
    if begin[..8] != MAGIC {
        return Err("unsupported .npy version; numpy.save writes version 1.0 for plain arrays".into());
    }
    let mut text = String::new();
    file.take(header).read_to_string(&mut text).map_err(|e| format!("its header: {e}"))?;
    let after = |key: &str| text.split_once(key).map(|(_, rest)| rest.trim_start_matches([':', ' '])).unwrap_or_default();
    let kind = after("'descr'").trim_start_matches('\'').split('\'').next().unwrap_or_default();
    let size = match kind {
        "|u1" => 1,
        "<f4" => 4,
        "<f8" => 8,
        _ => return Err(format!("unsupported dtype {kind:?}, expected f4, f8 or u1: save it with .astype('f4')")),
    };
    if !after("'fortran_order'").starts_with("False") {
        return Err("unsupported Fortran order; save it again after numpy.ascontiguousarray".into());
    }
    let axes = after("'shape'").trim_start_matches('(').split(')').next().unwrap_or_default();
    let axes = axes.split(',').map(str::trim).filter(|axis| !axis.is_empty()).map(str::parse);
    let shape = axes.collect::<Result<Vec<usize>, _>>().map_err(|e| format!("its shape: {e}"))?;
    let count = shape.iter().try_fold(1usize, |all, &n| all.checked_mul(n));
    let (actual, expected) = (length.saturating_sub(10 + header), count.and_then(|count| count.checked_mul(size)));
    if expected.map(|expected| expected as u64) != Some(actual) {
        return Err(format!("{actual} bytes do not match the shape {shape:?} of {kind}"));
    }
    let mut values = Vec::with_capacity(count.unwrap_or_default());
    let mut part = vec![0; (actual as usize).min(1 << 16)];
    let mut left = actual as usize;
    while left > 0 {
        let part = &mut part[..left.min(1 << 16)];
        file.read_exact(part).map_err(|e| e.to_string())?;
        left -= part.len();
        match size {
            1 => values.extend(part.iter().map(|byte| f32::from(*byte))),
            4 => values.extend(part.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b))),
            _ => values.extend(part.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b) as f32)),
        }
    }
    Ok((shape, values))
}

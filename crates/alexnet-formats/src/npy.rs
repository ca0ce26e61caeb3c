//! NumPy's `.npy`: a magic number, the length of a header, the header as a Python dictionary, the numbers. After
//! `numpy/lib/format.py`, version 1.0.

use std::io::Read;

/// What such a file begins with.
pub const MAGIC: [u8; 8] = *b"\x93NUMPY\x01\x00";

/// Reads an array of floats or bytes of a file of so many bytes: its shape, and its numbers row by row.
///
/// # Errors
/// Another kind of numbers or order, or a file that does not hold what its header says.
pub fn read(file: &mut impl Read, length: u64) -> Result<(Vec<usize>, Vec<f32>), String> {
    let mut begin = [0; 10];
    file.read_exact(&mut begin).map_err(|e| format!("its header: {e}"))?;
    let header = u64::from(u16::from_le_bytes([begin[8], begin[9]]));
    if begin[..8] != MAGIC {
        return Err("a numpy array of another version than 1.0, which numpy.save writes for plain arrays".into());
    }
    let mut text = String::new();
    file.take(header).read_to_string(&mut text).map_err(|e| format!("its header: {e}"))?;
    let after = |key: &str| text.split_once(key).map(|(_, rest)| rest.trim_start_matches([':', ' '])).unwrap_or_default();
    let kind = after("'descr'").trim_start_matches('\'').split('\'').next().unwrap_or_default();
    let size = match kind {
        "|u1" => 1,
        "<f4" => 4,
        "<f8" => 8,
        _ => return Err(format!("a numpy array of {kind:?}; f4, f8 and u1 are known here: save it with .astype('f4')")),
    };
    if !after("'fortran_order'").starts_with("False") {
        return Err("a numpy array column by column; save it again after numpy.ascontiguousarray".into());
    }
    let axes = after("'shape'").trim_start_matches('(').split(')').next().unwrap_or_default();
    let axes = axes.split(',').map(str::trim).filter(|axis| !axis.is_empty()).map(str::parse);
    let shape = axes.collect::<Result<Vec<usize>, _>>().map_err(|e| format!("its shape: {e}"))?;
    let count = shape.iter().try_fold(1usize, |all, &n| all.checked_mul(n));
    let (here, wanted) = (length.saturating_sub(10 + header), count.and_then(|count| count.checked_mul(size)));
    if wanted.map(|wanted| wanted as u64) != Some(here) {
        return Err(format!("{here} bytes for the shape {shape:?} of {kind}"));
    }
    let mut values = Vec::with_capacity(count.unwrap_or_default());
    let mut part = vec![0; (here as usize).min(1 << 16)];
    let mut left = here as usize;
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

//! Tensors in files: a name, a shape, and the location of the values.

use super::protobuf::varint;
use super::reader::{ParseResult, Reader};
use std::path::PathBuf;

/// Element type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dtype {
    /// Half precision.
    F16,
    /// bfloat16.
    Bf16,
    /// Single precision.
    F32,
    /// Double precision.
    F64,
    /// Any other type, named as in its format; it cannot be a weight.
    Other(&'static str),
}

impl Dtype {
    /// Its name: `f32`, `i64`, ...
    pub fn name(self) -> &'static str {
        match self {
            Dtype::F16 => "f16",
            Dtype::Bf16 => "bf16",
            Dtype::F32 => "f32",
            Dtype::F64 => "f64",
            Dtype::Other(name) => name,
        }
    }

    /// Converts 16 bits from bfloat16 or else half precision.
    pub(crate) fn half(self, bits: u16) -> f32 {
        if self == Dtype::Bf16 { f32::from_bits(u32::from(bits) << 16) } else { f16_to_f32(bits) }
    }

    /// Bytes per element, if the type can be a weight.
    pub(crate) fn size(self) -> Option<usize> {
        match self {
            Dtype::F16 | Dtype::Bf16 => Some(2),
            Dtype::F32 => Some(4),
            Dtype::F64 => Some(8),
            Dtype::Other(_) => None,
        }
    }
}

/// A tensor in a file; [`ParsedFile::values`](super::ParsedFile::values) reads its values.
#[derive(Debug, Clone)]
pub struct Tensor {
    /// Name in the file.
    pub name: String,
    /// Shape, outermost axis first.
    pub shape: Vec<usize>,
    /// Element type.
    pub dtype: Dtype,
    pub(crate) storage: Storage,
}

/// Location of a tensor's values.
#[derive(Debug, Clone)]
pub(crate) enum Storage {
    /// In consecutive runs of bytes, row-major.
    Runs(Vec<(u64, u64)>),
    /// In a run of bytes of this file or of an external one, with a stride in elements for each axis: a transposed or sliced
    /// tensor of PyTorch or numpy.
    Strided { file: Option<PathBuf>, start: u64, length: u64, strides: Vec<usize> },
    /// In a run of UTF-8 text that encodes the bytes as characters (numpy in a Python 2 pickle).
    Latin1 { start: u64, length: u64 },
    /// In runs of varints, each the 16 bits of a half-precision number (ONNX's `int32_data`).
    Varints(Vec<(u64, u64)>),
    /// In an external file in the same folder (ONNX's external data).
    External { file: PathBuf, start: u64, length: u64 },
    /// In memory: formats that store values one by one.
    Inline(Vec<f32>),
    /// A single repeated value.
    Fill(f32),
}

impl Tensor {
    /// Number of values, or `None` on overflow.
    pub fn count(&self) -> Option<usize> {
        self.shape.iter().try_fold(1usize, |product, &n| product.checked_mul(n))
    }

    /// Reads the values as f32. Memory is allocated only after the file is known to hold them.
    pub(crate) fn values(&self, reader: &Reader) -> ParseResult<Vec<f32>> {
        let fail = |what: String| format!("{}: {what}", self.name);
        let size = self.dtype.size().ok_or_else(|| fail(format!("dtype {} cannot hold weights", self.dtype.name())))?;
        let len = self.count().ok_or_else(|| fail(format!("the shape {:?} overflows", self.shape)))?;
        let expected = (len as u64).checked_mul(size as u64);
        let short = |held: u64| fail(format!("{held} bytes for the shape {:?} of {}", self.shape, self.dtype.name()));
        match &self.storage {
            Storage::Fill(value) => Ok(vec![*value; len]),
            Storage::Inline(values) if values.len() == len => Ok(values.clone()),
            Storage::Inline(values) => Err(fail(format!("{} values for the shape {:?}", values.len(), self.shape))),
            Storage::Runs(runs) => {
                let held: u64 = runs.iter().map(|run| run.1).sum();
                if expected != Some(held) || runs.iter().any(|run| run.0 + run.1 > reader.length()) {
                    return Err(short(held));
                }
                let mut values = Vec::with_capacity(len);
                for &(start, length) in runs {
                    if length % size as u64 != 0 {
                        return Err(short(held));
                    }
                    self.append(reader, start, length, &mut values)?;
                }
                Ok(values)
            }
            Storage::Varints(runs) => {
                // Each value takes at least one byte.
                let held: u64 = runs.iter().map(|run| run.1).sum();
                if len as u64 > held || runs.iter().any(|run| run.0 + run.1 > reader.length()) {
                    return Err(short(held));
                }
                let mut values = Vec::with_capacity(len);
                for &(start, length) in runs {
                    let mut cursor = reader.cursor(start, start + length);
                    while cursor.left() > 0 && values.len() <= len {
                        let bits = varint(&mut cursor)?;
                        let bits = u16::try_from(bits).map_err(|_| fail(format!("{bits} does not fit in 16 bits")))?;
                        values.push(self.dtype.half(bits));
                    }
                }
                if values.len() == len { Ok(values) } else { Err(short(held)) }
            }
            Storage::External { file, start, length } => {
                let reader = reader.open_sibling(file)?;
                let end = start.checked_add(*length);
                if expected != Some(*length) || end.is_none_or(|end| end > reader.length()) {
                    return Err(short(*length));
                }
                let mut values = Vec::with_capacity(len);
                self.append(&reader, *start, *length, &mut values)?;
                Ok(values)
            }
            Storage::Strided { file, start, length, strides } => {
                let external = file.as_ref().map(|file| reader.open_sibling(file)).transpose()?;
                let reader = external.as_ref().unwrap_or(reader);
                // A stride of 0 asks for more values than are stored; more than the file has bytes is implausible.
                if expected.is_none_or(|expected| expected > reader.length()) || start.saturating_add(*length) > reader.length() {
                    return Err(short(*length));
                }
                let mut all = Vec::with_capacity((*length / size as u64) as usize);
                self.append(reader, *start, *length, &mut all)?;
                pick(&all, &self.shape, strides).ok_or_else(|| fail(format!("strides {strides:?} exceed its storage")))
            }
            Storage::Latin1 { start, length } => {
                // Each byte takes one or two bytes of UTF-8.
                if expected.is_none_or(|expected| expected > *length) {
                    return Err(short(*length));
                }
                let text = reader.cursor(*start, start + length).text(*length).map_err(fail)?;
                let bytes: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
                let bytes = bytes.ok_or_else(|| fail("its text holds characters beyond Latin-1".into()))?;
                if expected != Some(bytes.len() as u64) {
                    return Err(short(bytes.len() as u64));
                }
                let mut values = Vec::with_capacity(len);
                convert(self.dtype, &bytes, &mut values);
                Ok(values)
            }
        }
    }

    /// Checks that the file is long enough for the values, without reading them.
    ///
    /// # Errors
    /// An element type that cannot hold weights, or a file, this or an external one, that is too short.
    pub(crate) fn check(&self, reader: &Reader) -> ParseResult<()> {
        let fail = |what: String| format!("{}: {what}", self.name);
        let size = self.dtype.size().ok_or_else(|| fail(format!("dtype {} cannot hold weights", self.dtype.name())))?;
        let expected = self.count().and_then(|len| (len as u64).checked_mul(size as u64));
        let (held, in_bounds) = match &self.storage {
            Storage::Runs(runs) => {
                let ends =
                    runs.iter().all(|(start, length)| start.checked_add(*length).is_some_and(|end| end <= reader.length()));
                (runs.iter().map(|run| run.1).sum(), ends)
            }
            Storage::External { file, start, length } => {
                let external = reader.open_sibling(file).map_err(|e| fail(format!("its values are in an external file: {e}")))?;
                (*length, start.checked_add(*length).is_some_and(|end| end <= external.length()))
            }
            Storage::Strided { file: Some(file), start, length, .. } => {
                let external = reader.open_sibling(file).map_err(|e| fail(format!("its values are in an external file: {e}")))?;
                let in_bounds = start.checked_add(*length).is_some_and(|end| end <= external.length());
                (expected.unwrap_or_default(), in_bounds)
            }
            _ => return Ok(()),
        };
        if expected == Some(held) && in_bounds {
            return Ok(());
        }
        Err(fail(format!("{held} bytes for the shape {:?} of {}", self.shape, self.dtype.name())))
    }

    /// Like [`values`](Self::values), but only for values stored in the file.
    #[cfg(test)]
    pub(crate) fn values_in_file(&self, reader: &Reader) -> ParseResult<Vec<f32>> {
        if let Storage::Fill(_) = self.storage { Err("generated, not stored".into()) } else { self.values(reader) }
    }

    fn append(&self, reader: &Reader, start: u64, length: u64, values: &mut Vec<f32>) -> ParseResult<()> {
        let mut buffer = vec![0; length.min(1 << 18) as usize];
        let (mut at, end) = (start, start + length);
        while at < end {
            let part = (end - at).min(buffer.len() as u64) as usize;
            reader.fill(at, &mut buffer[..part]).map_err(|e| format!("{}: {e}", self.name))?;
            convert(self.dtype, &buffer[..part], values);
            at += part as u64;
        }
        Ok(())
    }
}

/// Row-major values from strided ones; `None` if an index is out of bounds.
pub(crate) fn pick(all: &[f32], shape: &[usize], strides: &[usize]) -> Option<Vec<f32>> {
    let len: usize = shape.iter().product();
    if len == 0 {
        return Some(Vec::new());
    }
    if shape.len() != strides.len() {
        return None;
    }
    let last = shape.iter().zip(strides).try_fold(0usize, |sum, (n, s)| sum.checked_add((n - 1).checked_mul(*s)?))?;
    if last >= all.len() {
        return None;
    }
    let mut values = Vec::with_capacity(len);
    let mut index = vec![0; shape.len()];
    let mut at = 0;
    for _ in 0..len {
        values.push(all[at]);
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            at += strides[axis];
            if index[axis] < shape[axis] {
                break;
            }
            at -= strides[axis] * shape[axis];
            index[axis] = 0;
        }
    }
    Some(values)
}

/// Appends little-endian numbers as f32; a partial number at the end is dropped.
fn convert(dtype: Dtype, bytes: &[u8], values: &mut Vec<f32>) {
    match dtype {
        Dtype::F32 => values.extend(bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b))),
        Dtype::F64 => values.extend(bytes.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b) as f32)),
        Dtype::F16 | Dtype::Bf16 => {
            values.extend(bytes.as_chunks().0.iter().map(|b| dtype.half(u16::from_le_bytes(*b))));
        }
        Dtype::Other(_) => {}
    }
}

/// IEEE 754 half precision: 1 sign, 5 exponent (bias 15), 10 fraction bits. Every half is exact in f32.
pub(crate) fn f16_to_f32(bits: u16) -> f32 {
    let (exponent, fraction) = (u32::from(bits >> 10 & 31), u32::from(bits & 1023));
    let size = match exponent {
        0 => fraction as f32 * 2f32.powi(-24),
        31 => f32::from_bits(0x7F80_0000 | fraction << 13),
        _ => f32::from_bits((exponent + 112) << 23 | fraction << 13),
    };
    if bits >> 15 == 1 { -size } else { size }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_convert_exactly() {
        for (bits, value) in [
            (0x0000, 0.0),
            (0x3C00, 1.0),
            (0xC000, -2.0),
            (0x7BFF, 65504.0),
            (0x0400, 6.103_515_6e-5),
            (0x0001, 5.960_464_5e-8),
            (0x03FF, 6.097_555e-5),
            (0x3555, 0.333_251_95),
            (0xFC00, f32::NEG_INFINITY),
        ] {
            assert_eq!(f16_to_f32(bits), value, "{bits:#06x}");
        }
        assert!(f16_to_f32(0x7E01).is_nan());
        assert!(f16_to_f32(0x8000).is_sign_negative());
    }

    #[test]
    fn strides_transpose_and_stay_in_bounds() {
        let all = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0];
        assert_eq!(pick(&all, &[3, 2], &[1, 3]), Some(vec![0.0, 3.0, 1.0, 4.0, 2.0, 5.0]));
        assert_eq!(pick(&all, &[2, 2], &[3, 1]), Some(vec![0.0, 1.0, 3.0, 4.0]));
        assert_eq!(pick(&all, &[2, 3], &[1, 3]), None);
        assert_eq!(pick(&all, &[2, 2], &[usize::MAX, usize::MAX]), None);
        assert_eq!(pick(&all, &[2], &[1, 1]), None);
        assert_eq!(pick(&all, &[0, 2], &[9, 9]), Some(vec![]));
    }
}

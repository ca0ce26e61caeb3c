//! The safetensors container: 8 bytes of header length, a JSON header, then the tensors without gaps, little-endian.
//!
//! The `safetensors` crate validates headers on reading. For writing it keeps metadata in a hash map with an unstable order, so
//! the header is written here. Tensors are fetched one at a time, so writing needs only as much memory as the largest tensor.

use super::super::reader::open_file;
use super::super::tensor_data::{Mapping, TensorData, write_values};
use crate::{Error, Result};
use ::safetensors::Dtype;
use ::safetensors::tensor::{Metadata, TensorInfo};
use alexnet_files as files;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Longest header that the format allows, in bytes.
const MAX_HEADER: u64 = 100_000_000;
/// Longest header accepted: far more than the names of a thousand classes. The format's maximum would take more than a gigabyte.
const LONGEST_HEADER: u64 = 1 << 24;
/// Maximum number of tensors; a training state holds a few hundred.
const MOST_TENSORS: usize = 1 << 14;

/// Name and shape of a tensor to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Name, such as `conv1.weight`.
    pub name: String,
    /// Shape, outermost axis first.
    pub shape: Vec<usize>,
}

/// Writes a safetensors file of f32 tensors, sorted by name; `values` returns each in turn.
///
/// # Errors
/// When the file cannot be written, or from `values`; an existing file is kept.
pub fn write_tensors<'a>(
    path: &Path,
    metadata: &BTreeMap<String, String>,
    entries: &[Entry],
    sync: files::Sync,
    values: &mut dyn FnMut(&str) -> Result<Cow<'a, [f32]>>,
) -> Result<()> {
    let mut entries: Vec<&Entry> = entries.iter().collect();
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    let mut failed = None;
    let written = files::write_atomic_with(path, sync, |out| {
        out.write_all(&header(metadata, &entries)?)?;
        for entry in &entries {
            let tensor = values(&entry.name).and_then(|tensor| {
                let expected: usize = entry.shape.iter().product();
                if tensor.len() == expected {
                    Ok(tensor)
                } else {
                    Err(Error::Invalid(format!("{}: {} values for the shape {:?}", entry.name, tensor.len(), entry.shape)))
                }
            });
            match tensor {
                Ok(tensor) => write_values(out, &tensor)?,
                Err(error) => {
                    failed = Some(error);
                    return Err(io::ErrorKind::Other.into());
                }
            }
        }
        Ok(())
    });
    failed.map_or(written, Err)
}

/// The length and the JSON header, padded with spaces so that the tensors start on a 64-byte cache line: those of a mapped file
/// are used in place.
fn header(metadata: &BTreeMap<String, String>, entries: &[&Entry]) -> io::Result<Vec<u8>> {
    let mut header = b"{\"__metadata__\":".to_vec();
    serde_json::to_writer(&mut header, metadata)?;
    let mut offset = 0;
    for entry in entries {
        let size = entry.shape.iter().product::<usize>() * size_of::<f32>();
        header.push(b',');
        serde_json::to_writer(&mut header, &entry.name)?;
        header.push(b':');
        let info = TensorInfo { dtype: Dtype::F32, shape: entry.shape.clone(), data_offsets: (offset, offset + size) };
        serde_json::to_writer(&mut header, &info)?;
        offset += size;
    }
    header.push(b'}');
    header.resize((8 + header.len()).next_multiple_of(64) - 8, b' ');
    let mut all = (header.len() as u64).to_le_bytes().to_vec();
    all.append(&mut header);
    Ok(all)
}

/// An open safetensors file with a validated header: its tensors are within the file, without gaps or overlap.
#[derive(Debug)]
pub struct TensorFile {
    path: PathBuf,
    file: File,
    /// Offset of the first tensor.
    start: u64,
    header: Metadata,
    /// The whole file mapped into memory, on first use.
    mapping: OnceLock<Mapping>,
}

impl TensorFile {
    /// Opens a file and validates its header; allocations are bounded by the file's actual size.
    ///
    /// # Errors
    /// When it cannot be read, is not a safetensors file, or is truncated.
    pub fn open(path: &Path) -> Result<Self> {
        let (file, length) = open_file(path)?;
        let not_one = |what: String| Error::file(path, format!("not a model file of this program: {what}"));
        let mut first = [0u8; 8];
        (&file)
            .read_exact(&mut first)
            .map_err(|_| not_one(format!("it has {length} bytes, fewer than the 8 of the header length")))?;
        let size = u64::from_le_bytes(first);
        if size > MAX_HEADER {
            return Err(not_one(format!("as safetensors its header would have {size} bytes")));
        }
        if size > length - 8 {
            return Err(Error::file(
                path,
                format!("truncated: its header has {size} bytes, the file only {length}; copy it again"),
            ));
        }
        if size > LONGEST_HEADER {
            return Err(Error::file(path, format!("its header has {size} bytes; the limit is {LONGEST_HEADER}")));
        }
        let mut bytes = Vec::with_capacity(size as usize);
        (&file).take(size).read_to_end(&mut bytes).map_err(|e| Error::io(path, e))?;
        // Each takes ten times its text in memory.
        let word = b"data_offsets";
        let tensors = bytes.windows(word.len()).filter(|part| part == word).count();
        if tensors > MOST_TENSORS {
            return Err(Error::file(path, format!("it has {tensors} tensors; AlexNet has a few dozen")));
        }
        let header: Metadata = serde_json::from_slice(&bytes).map_err(|e| not_one(format!("invalid safetensors header: {e}")))?;
        let start = 8 + size;
        let (actual, expected) = (length - start, header.data_len() as u64);
        if actual < expected {
            return Err(Error::file(
                path,
                format!("truncated: expected {expected} bytes of tensors, got {actual}; copy it again"),
            ));
        }
        if actual > expected {
            return Err(Error::file(path, format!("{} bytes too many after the tensors; copy it again", actual - expected)));
        }
        Ok(TensorFile { path: path.to_path_buf(), file, start, header, mapping: OnceLock::new() })
    }

    /// A metadata string, if present.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.header.metadata().as_ref()?.get(key).map(String::as_str)
    }

    /// The names of all tensors, sorted.
    pub fn names(&self) -> Vec<String> {
        let mut names = self.header.offset_keys();
        names.sort();
        names
    }

    /// Shape of a tensor, if present.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.header.info(name).map(|info| info.shape.as_slice())
    }

    /// Reads an f32 tensor of exactly this shape.
    ///
    /// # Errors
    /// When it is missing, unreadable, or of another type or shape (the message reports both).
    pub fn read(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let (from, to) = self.place(name, shape)?;
        self.values(from, to).map_err(|e| Error::io(&self.path, e))
    }

    /// Like [`read`](Self::read), but maps the values instead of copying them; the file must then stay unchanged
    /// ([`Mapping::open`]). Misaligned values, from another program, are copied.
    ///
    /// # Errors
    /// Like [`read`](Self::read), or when the file cannot be mapped.
    pub fn map(&self, name: &str, shape: &[usize]) -> Result<TensorData> {
        let (from, to) = self.place(name, shape)?;
        let mapping = match self.mapping.get() {
            Some(mapping) => mapping,
            None => {
                let length = self.start + self.header.data_len() as u64;
                let made = Mapping::open(&self.path, &self.file, length)?;
                self.mapping.get_or_init(|| made)
            }
        };
        match mapping.values(self.start as usize + from, (to - from) / size_of::<f32>()) {
            Some(values) => Ok(values),
            None => self.read(name, shape).map(TensorData::from),
        }
    }

    /// Offsets of an f32 tensor of exactly this shape.
    fn place(&self, name: &str, shape: &[usize]) -> Result<(usize, usize)> {
        let info = self.header.info(name).ok_or_else(|| Error::file(&self.path, format!("lacks the tensor {name}")))?;
        if info.dtype != Dtype::F32 {
            let message = format!("{name} holds {} values; only F32 is supported", info.dtype);
            return Err(Error::file(&self.path, message));
        }
        if info.shape != shape {
            let message = format!("{name} has the shape {:?}, the net needs {shape:?}", info.shape);
            return Err(Error::file(&self.path, message));
        }
        Ok(info.data_offsets)
    }

    /// The f32 values at these offsets, which [`TensorFile::open`] has checked.
    fn values(&self, from: usize, to: usize) -> io::Result<Vec<f32>> {
        let mut file = &self.file;
        file.seek(SeekFrom::Start(self.start + from as u64))?;
        let mut values = Vec::with_capacity((to - from) / size_of::<f32>());
        let mut bytes = vec![0u8; (to - from).min(1 << 18)];
        let mut left = to - from;
        while left > 0 {
            let part = left.min(bytes.len());
            file.read_exact(&mut bytes[..part])?;
            values.extend(bytes[..part].as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)));
            left -= part;
        }
        Ok(values)
    }

    /// Name, dtype, shape, file offset and length in bytes of every tensor, sorted by name.
    pub fn places(&self) -> impl Iterator<Item = (String, Dtype, Vec<usize>, u64, u64)> + '_ {
        self.names().into_iter().filter_map(|name| {
            let info = self.header.info(&name)?;
            let (from, to) = info.data_offsets;
            Some((name, info.dtype, info.shape.clone(), self.start + from as u64, (to - from) as u64))
        })
    }

    /// All metadata strings.
    pub fn metadata(&self) -> BTreeMap<String, String> {
        self.header.metadata().iter().flatten().map(|(key, text)| (key.clone(), text.clone())).collect()
    }

    /// Path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

//! The safetensors container: 8 bytes of header length, a JSON header, then the tensors without gaps, little-endian.
//!
//! The crate `safetensors` checks headers on the way in. On the way out it keeps metadata in a hash map, whose order
//! changes from run to run, so the header is written here; and tensors are asked for one at a time, so that writing
//! needs the memory of the largest tensor only.

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
/// Longest header that is read: a thousand classes' names and far more. One of the format's longest would take more than a gigabyte.
const LONGEST_HEADER: u64 = 1 << 24;
/// Most tensors that are believed; a state of training holds some hundred.
const MOST_TENSORS: usize = 1 << 14;

/// Name and shape of a tensor to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Such as `conv1.weight`.
    pub name: String,
    /// Rows first.
    pub shape: Vec<usize>,
}

/// Writes a safetensors file of f32 tensors, sorted by name; `values` gives each when its turn comes.
///
/// # Errors
/// When the file cannot be written, or from `values`; a file that stood there before is kept.
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
                let wanted: usize = entry.shape.iter().product();
                if tensor.len() == wanted {
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

/// The length and the JSON header, padded with spaces so that the tensors begin on a cache line, 64 bytes: a mapped file's are
/// used where they lie.
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

/// An open safetensors file whose header has been checked: its tensors lie without gap or overlap in the file as long
/// as it is.
#[derive(Debug)]
pub struct TensorFile {
    path: PathBuf,
    file: File,
    /// Where the first tensor begins.
    start: u64,
    header: Metadata,
    /// The whole file in memory, made when first wanted.
    mapping: OnceLock<Mapping>,
}

impl TensorFile {
    /// Opens a file and checks its header; memory is taken only for what the file really holds.
    ///
    /// # Errors
    /// When it cannot be read, is no safetensors file, or is cut off.
    pub fn open(path: &Path) -> Result<Self> {
        let (file, length) = open_file(path)?;
        let not_one = |what: String| Error::file(path, format!("not a model file of this program: {what}"));
        let mut first = [0u8; 8];
        (&file)
            .read_exact(&mut first)
            .map_err(|_| not_one(format!("it has {length} bytes, fewer than the 8 of a header's length")))?;
        let size = u64::from_le_bytes(first);
        if size > MAX_HEADER {
            return Err(not_one(format!("as safetensors its header would have {size} bytes")));
        }
        if size > length - 8 {
            return Err(Error::file(
                path,
                format!("cut off: its header has {size} bytes, the file only {length}; copy it again"),
            ));
        }
        if size > LONGEST_HEADER {
            return Err(Error::file(
                path,
                format!("its header has {size} bytes; that of a model here has at most {LONGEST_HEADER}"),
            ));
        }
        let mut bytes = Vec::with_capacity(size as usize);
        (&file).take(size).read_to_end(&mut bytes).map_err(|e| Error::io(path, e))?;
        // Each takes ten times its text once it is read.
        let word = b"data_offsets";
        let tensors = bytes.windows(word.len()).filter(|part| part == word).count();
        if tensors > MOST_TENSORS {
            return Err(Error::file(path, format!("it has {tensors} tensors, and no AlexNet has more than some dozens")));
        }
        let header: Metadata =
            serde_json::from_slice(&bytes).map_err(|e| not_one(format!("its safetensors header is broken: {e}")))?;
        let start = 8 + size;
        let (here, wanted) = (length - start, header.data_len() as u64);
        if here < wanted {
            return Err(Error::file(path, format!("cut off: {here} bytes of tensors where {wanted} belong; copy it again")));
        }
        if here > wanted {
            return Err(Error::file(path, format!("{} bytes too many behind the tensors; copy it again", here - wanted)));
        }
        Ok(TensorFile { path: path.to_path_buf(), file, start, header, mapping: OnceLock::new() })
    }

    /// A text of the metadata, or none.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.header.metadata().as_ref()?.get(key).map(String::as_str)
    }

    /// The names of all tensors, sorted.
    pub fn names(&self) -> Vec<String> {
        let mut names = self.header.offset_keys();
        names.sort();
        names
    }

    /// Shape of a tensor, or none.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.header.info(name).map(|info| info.shape.as_slice())
    }

    /// Reads a tensor of f32 of this very shape.
    ///
    /// # Errors
    /// When it is missing, of another type or shape (both are told), or unreadable.
    pub fn read(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let (from, to) = self.place(name, shape)?;
        self.values(from, to).map_err(|e| Error::io(&self.path, e))
    }

    /// As [`read`](Self::read), but leaves the numbers in the file, which must then stay as it is ([`Mapping::open`]).
    /// Where they cannot be used there, because another program put them at an odd place, they are copied.
    ///
    /// # Errors
    /// As [`read`](Self::read), or when the file cannot be mapped.
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

    /// Where a tensor of f32 of this very shape lies.
    fn place(&self, name: &str, shape: &[usize]) -> Result<(usize, usize)> {
        let info = self.header.info(name).ok_or_else(|| Error::file(&self.path, format!("lacks the tensor {name}")))?;
        if info.dtype != Dtype::F32 {
            let message = format!("{name} holds {} numbers; only F32 can be read here", info.dtype);
            return Err(Error::file(&self.path, message));
        }
        if info.shape != shape {
            let message = format!("{name} has the shape {:?}, the net needs {shape:?}", info.shape);
            return Err(Error::file(&self.path, message));
        }
        Ok(info.data_offsets)
    }

    /// The f32 at these offsets, which lie within the file since [`TensorFile::open`].
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

    /// Name, kind, shape, first byte in the file and length in bytes of every tensor, sorted by name.
    pub fn places(&self) -> impl Iterator<Item = (String, Dtype, Vec<usize>, u64, u64)> + '_ {
        self.names().into_iter().filter_map(|name| {
            let info = self.header.info(&name)?;
            let (from, to) = info.data_offsets;
            Some((name, info.dtype, info.shape.clone(), self.start + from as u64, (to - from) as u64))
        })
    }

    /// All texts of the metadata.
    pub fn metadata(&self) -> BTreeMap<String, String> {
        self.header.metadata().iter().flatten().map(|(key, text)| (key.clone(), text.clone())).collect()
    }

    /// The file's place.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

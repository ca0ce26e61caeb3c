//! Writer equivalent to `torch.save(state_dict)`: a zip of stored records, names as a pickle of protocol 2, and each tensor in
//! its own storage, aligned to 64 bytes so that `torch.load(mmap=True)` works.

use super::super::export_plan::{Export, Written};
use super::super::model::MEAN_TENSOR;
use super::super::pickle::Writer;
use super::super::tensor_data::{LateValues, write_values};
use crate::Result;
use alexnet_files as files;
use rawzip::extra_fields::ExtraFieldId;
use rawzip::{Header, ZipArchiveWriter};
use std::io::{self, Write};
use std::path::Path;

/// Our own record with the model metadata, which PyTorch ignores.
pub(super) const ABOUT: &str = "alexnet.json";

/// Alignment of each record's data, as in PyTorch.
const ALIGNMENT: u64 = 64;
/// Identifier of the extra field with which PyTorch pads local headers, "FB".
const PADDING: u16 = 0x4246;

/// Writes a state dict. Metadata without a place in PyTorch's format goes into a record that PyTorch ignores.
///
/// # Errors
/// When the file cannot be written; an existing file is kept.
pub(crate) fn write(path: &Path, export: &Export<'_>) -> Result<()> {
    let about = serde_json::to_vec(&export.metadata).map_err(|e| crate::Error::Invalid(e.to_string()))?;
    files::write_atomic(path, |out| {
        let mut zip = ZipArchiveWriter::new(out);
        record(&mut zip, "data.pkl", &mut |out| names(out, &export.parameters))?;
        record(&mut zip, "byteorder", &mut |out| out.write_all(b"little"))?;
        record(&mut zip, ABOUT, &mut |out| out.write_all(&about))?;
        for (i, parameter) in export.parameters.iter().enumerate() {
            record(&mut zip, &format!("data/{i}"), &mut |out| write_values(out, &parameter.values()))?;
        }
        if let Some((mean, _)) = export.mean() {
            record(&mut zip, MEAN_TENSOR, &mut |out| write_values(out, mean))?;
        }
        record(&mut zip, "version", &mut |out| out.write_all(b"3\n"))?;
        zip.finish().map_err(io::Error::other).map(|_| ())
    })
}

/// Writes a stored record at the alignment.
fn record<W: Write>(
    zip: &mut ZipArchiveWriter<W>,
    name: &str,
    write: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let name = format!("archive/{name}");
    // The local header has 30 bytes, then the name, then 4 bytes of extra field header.
    let begin = zip.stream_offset() + 30 + name.len() as u64 + 4;
    let padding = vec![b'Z'; (begin.next_multiple_of(ALIGNMENT) - begin) as usize];
    let file = zip.new_file(&name).extra_field(ExtraFieldId::new(PADDING), &padding, Header::LOCAL);
    let (mut entry, config) = file.and_then(|file| file.start()).map_err(io::Error::other)?;
    let mut writer = config.wrap(&mut entry);
    write(&mut writer)?;
    let (_, sizes) = writer.finish().map_err(io::Error::other)?;
    entry.finish(sizes).map_err(io::Error::other).map(|_| ())
}

/// The pickle: an OrderedDict of `_rebuild_tensor_v2(storage, 0, shape, strides, False, OrderedDict())`.
fn names(out: &mut dyn Write, parameters: &[Written<'_>]) -> io::Result<()> {
    let mut pickle = Writer::begin(out, 2)?;
    pickle.global("collections", "OrderedDict")?;
    pickle.raw(b")R(")?;
    for (i, parameter) in parameters.iter().enumerate() {
        pickle.text(&parameter.name)?;
        pickle.global("torch._utils", "_rebuild_tensor_v2")?;
        pickle.raw(b"((")?;
        pickle.text("storage")?;
        pickle.global("torch", "FloatStorage")?;
        pickle.text(&i.to_string())?;
        pickle.text("cpu")?;
        pickle.int(parameter.shape.iter().product())?;
        pickle.raw(b"tQ")?;
        pickle.int(0)?;
        pickle.counts(&parameter.shape)?;
        pickle.counts(&strides(&parameter.shape))?;
        pickle.bool(false)?;
        pickle.global("collections", "OrderedDict")?;
        pickle.raw(b")RtR")?;
    }
    pickle.raw(b"u")?;
    pickle.end()
}

fn strides(shape: &[usize]) -> Vec<usize> {
    (0..shape.len()).map(|axis| shape[axis + 1..].iter().product()).collect()
}

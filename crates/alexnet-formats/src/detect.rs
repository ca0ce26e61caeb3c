//! Format detection from a file's first bytes rather than its name.

use super::format::{Format, Mark};
use super::model::without_foreign;
use super::parsed::ParsedFile;
use super::reader::Reader;
use super::registry::FORMATS;
use super::{mean_file, unsupported};
use crate::{Error, Result};
use std::path::Path;

/// Maximum number of tensors; AlexNet has 16. Comparing their names takes time quadratic in their number.
const MOST_TENSORS: usize = 1 << 12;

/// Reads the structure of a file of any supported format: names, shapes and locations of its tensors, and its metadata. Values
/// are loaded on demand ([`ParsedFile::values`]). No code in the file is run.
///
/// # Errors
/// An unknown format or an invalid file.
pub fn parse(path: impl AsRef<Path>) -> Result<ParsedFile> {
    let path = path.as_ref();
    let mut parsed = by_format(path)?;
    let tensors = parsed.tensors.len();
    if tensors > MOST_TENSORS {
        let message = format!("it has {tensors} tensors; AlexNet has a few dozen, and the limit is {MOST_TENSORS}");
        return Err(Error::file(path, message));
    }
    parsed.remarks.extend(without_foreign(&mut parsed.metadata));
    Ok(parsed)
}

fn by_format(path: &Path) -> Result<ParsedFile> {
    let fail = |message: String| Err(Error::file(path, message));
    if let Some(advice) = path.is_dir().then(|| unsupported::folder(path)).flatten() {
        return fail(advice);
    }
    let reader = Reader::open(path)?;
    let mut head = vec![0; reader.length().min(512) as usize];
    reader.fill(0, &mut head).map_err(|e| Error::io(path, e))?;
    if let Some(advice) = unsupported::by_content(&head).or_else(|| unsupported::by_name(path)) {
        return fail(advice);
    }
    let (without_mark, marked): (Vec<&dyn Format>, Vec<&dyn Format>) =
        FORMATS.iter().copied().partition(|format| format.mark() == Mark::Missing);
    let mut format = marked.into_iter().find(|format| format.sniff(&reader, &head));
    if format.is_none() {
        if let Some(advice) = mean_file::advice(&reader).or_else(|| unsupported::of_no_reader(path, &head)) {
            return fail(advice);
        }
        format = without_mark.into_iter().find(|format| format.sniff(&reader, &head));
    }
    let Some(format) = format else {
        let (length, begin) = (reader.length(), &head[..head.len().min(8)]);
        return fail(format!(
            "not a model file (safetensors, PyTorch, ONNX, Caffe or Paddle): it has {length} bytes and begins with {begin:02x?}"
        ));
    };
    match format.read(&reader) {
        Ok(content) => Ok(ParsedFile::new(reader, format, content)),
        // The file name is more informative than the parse error.
        Err(message) if format.mark() == Mark::Shared => fail(unsupported::of_no_reader(path, &head).unwrap_or(message)),
        Err(message) => fail(message),
    }
}

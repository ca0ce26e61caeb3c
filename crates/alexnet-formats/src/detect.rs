//! Format detection: by a file's first bytes, not by its name.

use super::format::{Format, Mark};
use super::model::without_foreign;
use super::parsed::ParsedFile;
use super::reader::Reader;
use super::registry::FORMATS;
use super::{mean_file, unsupported};
use crate::{Error, Result};
use std::path::Path;

/// Most tensors that are believed; AlexNet has 16. What compares their names takes time that grows with the square of their number.
const MOST_TENSORS: usize = 1 << 12;

/// Reads what a file of any format holds: names, shapes and places of its tensors, and its metadata. Values are read when they are
/// wanted ([`ParsedFile::values`]). No code of the file is run.
///
/// # Errors
/// An unknown format, or what is wrong with the file.
pub fn parse(path: impl AsRef<Path>) -> Result<ParsedFile> {
    let path = path.as_ref();
    let mut parsed = by_format(path)?;
    let tensors = parsed.tensors.len();
    if tensors > MOST_TENSORS {
        let message =
            format!("it has {tensors} tensors, and no AlexNet has more than some dozens; at most {MOST_TENSORS} are read");
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
            "not a model file of this program, nor PyTorch's, ONNX, Caffe's or Paddle's: it has {length} bytes and begins with {begin:02x?}"
        ));
    };
    match format.read(&reader) {
        Ok(content) => Ok(ParsedFile::new(reader, format, content)),
        // What the file is called tells more than what it lacks.
        Err(message) if format.mark() == Mark::Shared => fail(unsupported::of_no_reader(path, &head).unwrap_or(message)),
        Err(message) => fail(message),
    }
}

//! Export of a model to another framework's format.

use super::export_plan::ExportOptions;
use super::format::Format;
use super::model::Model;
use super::registry::{FORMATS, endings};
use crate::{Error, Result};
use std::path::Path;

/// Writes a model in the format given by the file extension ([`endings`]; also `.pt`, `.pth.tar`, `.ckpt` and `.bin` for
/// PyTorch). Returns one remark per change made to preserve the outputs.
///
/// # Errors
/// An unknown extension, names that do not fit the net or the format, layers that the format cannot express, or a file that
/// cannot be written; an existing file is kept.
pub fn export(path: impl AsRef<Path>, model: &Model, options: ExportOptions) -> Result<Vec<String>> {
    let path = path.as_ref();
    let (names, outputs) = (model.classes.len(), model.net.classes());
    if names != outputs {
        return Err(Error::Invalid(format!("{names} class names for {outputs} outputs")));
    }
    let format = by_ending(path);
    if options.preprocess_in_graph && !format.as_ref().is_ok_and(|format| format.has_graph()) {
        return Err(Error::Invalid("only ONNX files can include the preprocessing".into()));
    }
    let format = format.map_err(|message| Error::file(path, message))?;
    // Reject an option without effect rather than ignore it.
    if let Some(why) = options.names.and_then(|naming| format.refuses(naming)) {
        return Err(Error::file(path, format!("this naming scheme does not fit the format ({why}); omit --names")));
    }
    format.write(path, model, options)
}

/// The format of a file extension.
fn by_ending(path: &Path) -> Result<&'static dyn Format, String> {
    let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let has = |ending: &str| name.strip_suffix(ending).is_some_and(|stem| stem.len() > 1 && stem.ends_with('.'));
    if let Some(format) = FORMATS.iter().find(|format| format.endings().iter().any(|ending| has(ending))) {
        return Ok(*format);
    }
    // PyTorch's own examples write checkpoint.pth.tar, which is not a tar.
    let mut all = FORMATS.iter().flat_map(|format| format.endings().iter().map(move |ending| (format.endings()[0], ending)));
    Err(match all.find_map(|(usual, ending)| Some((usual, ending, ending.split_once('.').filter(|(_, last)| has(last))?.1))) {
        Some((usual, twofold, last)) => format!(".{last} is not a model extension; use .{twofold}, .{usual} or another"),
        None => format!("unknown file extension; use {}", endings()),
    })
}

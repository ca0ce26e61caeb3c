//! Writing a model in a format of others.

use super::export_plan::ExportOptions;
use super::format::Format;
use super::model::Model;
use super::registry::{FORMATS, endings};
use crate::{Error, Result};
use std::path::Path;

/// Writes a model in the format of the file's ending ([`endings`]; also `.pt`, `.pth.tar`, `.ckpt` and `.bin` for PyTorch). Returns
/// remarks on what was changed so that the answers stay, a sentence each.
///
/// # Errors
/// An unknown ending, names that do not go with the net or the format, layers that the format cannot express, or a file that cannot be
/// written; one that stood there before is kept.
pub fn export(path: impl AsRef<Path>, model: &Model, options: ExportOptions) -> Result<Vec<String>> {
    let path = path.as_ref();
    let (names, outputs) = (model.classes.len(), model.net.classes());
    if names != outputs {
        return Err(Error::Invalid(format!("{names} class names for {outputs} outputs")));
    }
    let format = by_ending(path);
    if options.preprocess_in_graph && !format.as_ref().is_ok_and(|format| format.has_graph()) {
        return Err(Error::Invalid("only an .onnx file has a graph to put the preprocessing in".into()));
    }
    let format = format.map_err(|message| Error::file(path, message))?;
    // An option that changes nothing would be taken for one that did.
    if let Some(why) = options.names.and_then(|naming| format.refuses(naming)) {
        return Err(Error::file(path, format!("these names are not for this format ({why}); leave out --names")));
    }
    format.write(path, model, options)
}

/// The format that a file's ending says.
fn by_ending(path: &Path) -> Result<&'static dyn Format, String> {
    let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let has = |ending: &str| name.strip_suffix(ending).is_some_and(|stem| stem.len() > 1 && stem.ends_with('.'));
    if let Some(format) = FORMATS.iter().find(|format| format.endings().iter().any(|ending| has(ending))) {
        return Ok(*format);
    }
    // PyTorch's own examples write checkpoint.pth.tar, which is no tar.
    let mut all = FORMATS.iter().flat_map(|format| format.endings().iter().map(move |ending| (format.endings()[0], ending)));
    Err(match all.find_map(|(usual, ending)| Some((usual, ending, ending.split_once('.').filter(|(_, last)| has(last))?.1))) {
        Some((usual, twofold, last)) => format!("a .{last} is no model; give .{twofold}, .{usual} or another ending"),
        None => format!("the ending says the format; give {}", endings()),
    })
}

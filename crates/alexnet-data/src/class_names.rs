//! Class names in a text file, one per line, in the order of their labels.

use crate::{Error, Result, files};
use std::path::Path;

/// Reads a file of class names.
///
/// # Errors
/// It cannot be read, or holds none.
pub(crate) fn read(path: &Path) -> Result<Vec<String>> {
    let text = files::read_text(path).map_err(|error| Error::io(path, error))?;
    let names: Vec<String> = text.lines().map(str::trim).filter(|line| !line.is_empty()).map(String::from).collect();
    if names.is_empty() { Err(Error::file(path, "holds no class names; expected one per line")) } else { Ok(names) }
}

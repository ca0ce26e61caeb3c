//! Model files by path, and published weights by name.

use crate::errors::{AlexNetError, exception};
use crate::inputs::as_path;
use alexnet::pretrained::{self, Hub};
use pyo3::exceptions::{PyFileNotFoundError, PyTypeError};
use pyo3::prelude::*;
use std::path::PathBuf;

/// The file of an argument: an existing file, or published weights by name, which are downloaded if they are not in the cache
/// folder.
///
/// # Errors
/// Neither a file nor a name, or a failed download.
pub(crate) fn locate(value: &Bound<'_, PyAny>) -> PyResult<PathBuf> {
    let Some(path) = as_path(value)? else {
        return Err(PyTypeError::new_err("expected the path of a model file, or the name of published weights"));
    };
    if path.is_file() {
        return Ok(path);
    }
    let text = path.to_string_lossy();
    if let Some(file) = pretrained::published(&text) {
        let found = value.py().detach(|| Hub::from_env()?.get(file, &mut |_| ()));
        // A failed download is no invalid argument.
        return found.map(|found| found.path).map_err(|error| match error {
            alexnet::Error::Invalid(message) => AlexNetError::new_err(message),
            other => exception(other),
        });
    }
    if path.is_dir() {
        return Err(AlexNetError::new_err(format!("{text}: a folder; give a model file, such as {text}/best.safetensors")));
    }
    let hint = match text.contains(['/', '\\', '.']) {
        true => String::new(),
        false => format!(", and {}", pretrained::unknown(&text)),
    };
    Err(PyFileNotFoundError::new_err(format!("{text}: no such file{hint}")))
}

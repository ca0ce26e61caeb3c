//! Image files of a folder, and arrays as image files.

use crate::errors::exception;
use crate::inputs::one_image;
use alexnet::data::Source;
use alexnet::draw::encode;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::path::PathBuf;

/// The images of a folder or data set, in the order in which `Model.predict` answers for them.
#[pyfunction]
pub(crate) fn image_files(py: Python<'_>, folder: PathBuf) -> PyResult<Vec<PathBuf>> {
    let set = py.detach(|| Source::new(&folder).open_any()).map_err(exception)?.source;
    Ok((0..set.len()).map(|i| set.path(i).unwrap_or_else(|| folder.join(set.name(i)))).collect())
}

/// An image as the bytes of a PNG file.
#[pyfunction]
pub(crate) fn encode_png<'py>(py: Python<'py>, image: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    let image = one_image(image)?;
    let bytes = py.detach(|| encode::png(&image));
    Ok(PyBytes::new(py, &bytes))
}

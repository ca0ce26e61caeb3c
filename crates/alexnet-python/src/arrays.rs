//! NumPy arrays that take over a vector of Rust.

use alexnet::Image;
use numpy::{Element, PyArray1, PyArrayDyn, PyArrayMethods};
use pyo3::prelude::*;

/// An array of this shape that owns `values`, which are not copied.
pub(crate) fn array<'py, T: Element>(
    py: Python<'py>,
    values: Vec<T>,
    shape: impl Into<Vec<usize>>,
) -> PyResult<Bound<'py, PyArrayDyn<T>>> {
    PyArray1::from_vec(py, values).reshape(shape.into())
}

/// An image as an array of H x W x 3 uint8.
pub(crate) fn image(py: Python<'_>, Image { width, height, rgb }: Image) -> PyResult<Bound<'_, PyArrayDyn<u8>>> {
    array(py, rgb, [height, width, 3])
}

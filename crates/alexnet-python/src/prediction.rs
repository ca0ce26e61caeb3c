//! A class with its probability.

use alexnet::classifier;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};

/// A class with its probability.
///
/// Attributes:
///     label: name of the class; its index as text if the model file has no names.
///     probability: 0 to 1.
///     index: index of the class, from 0.
#[pyclass(frozen, eq, module = "alexnet")]
#[derive(PartialEq)]
pub(crate) struct Prediction {
    /// Name of the class.
    #[pyo3(get)]
    label: String,
    /// Probability, 0 to 1.
    #[pyo3(get)]
    probability: f64,
    /// Index of the class, from 0.
    #[pyo3(get)]
    index: usize,
}

impl From<classifier::Prediction> for Prediction {
    fn from(found: classifier::Prediction) -> Prediction {
        Prediction { label: found.label, probability: found.probability, index: found.index }
    }
}

#[pymethods]
impl Prediction {
    #[classattr]
    #[pyo3(name = "__match_args__")]
    fn match_args(py: Python<'_>) -> PyResult<Bound<'_, PyTuple>> {
        PyTuple::new(py, ["label", "probability", "index"])
    }

    #[new]
    fn new(label: String, probability: f64, index: usize) -> Prediction {
        Prediction { label, probability, index }
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyAny>, (String, f64, usize))> {
        let own = slf.get();
        Ok((slf.get_type().into_any(), (own.label.clone(), own.probability, own.index)))
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let label = PyString::new(py, &self.label).repr()?;
        Ok(format!("Prediction(label={label}, probability={:.4}, index={})", self.probability, self.index))
    }
}

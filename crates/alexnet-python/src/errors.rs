//! Exceptions: the library's errors as Python knows them, with the library's own messages.

use alexnet::Error;
use pyo3::PyErr;
use pyo3::create_exception;
use pyo3::exceptions::{PyException, PyFileNotFoundError, PyOSError, PyPermissionError, PyValueError};
use std::io::ErrorKind;

create_exception!(
    alexnet,
    AlexNetError,
    PyException,
    "Error of alexnet that is neither a missing file nor an invalid argument: a broken model file, a diverged model."
);

/// Error of a call that runs both the library and Python.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Error of the library.
    Library(Error),
    /// Exception raised in Python, such as `KeyboardInterrupt`.
    Python(PyErr),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Library(error)
    }
}

impl From<PyErr> for Failure {
    fn from(error: PyErr) -> Failure {
        Failure::Python(error)
    }
}

impl From<Failure> for PyErr {
    fn from(failure: Failure) -> PyErr {
        match failure {
            Failure::Library(error) => exception(error),
            Failure::Python(error) => error,
        }
    }
}

/// The exception of an error: `FileNotFoundError`, `PermissionError` and `OSError` for what the system says of a file, `ValueError`
/// for arguments, `AlexNetError` for everything else.
pub(crate) fn exception(error: Error) -> PyErr {
    let message = error.to_string();
    match error {
        Error::Io { cause, .. } => match cause.kind() {
            ErrorKind::NotFound => PyFileNotFoundError::new_err(message),
            ErrorKind::PermissionDenied => PyPermissionError::new_err(message),
            _ => PyOSError::new_err(message),
        },
        Error::Invalid(_) => PyValueError::new_err(message),
        Error::File { .. } | Error::Net(_) => AlexNetError::new_err(message),
    }
}

/// The exception of an image that cannot be read: `ValueError`, or `FileNotFoundError` if `path` does not exist.
pub(crate) fn of_image(error: Error, path: Option<&std::path::Path>) -> PyErr {
    match path {
        Some(path) if path.symlink_metadata().is_err_and(|error| error.kind() == ErrorKind::NotFound) => {
            PyFileNotFoundError::new_err(format!("{}: no such file", path.display()))
        }
        _ => PyValueError::new_err(error.to_string()),
    }
}

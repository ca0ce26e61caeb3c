//! The program `alexnet` in the Python package.

use pyo3::prelude::*;
use std::ffi::OsString;

/// Runs a command line, whose first argument is the program's name, and ends the process with its exit status.
#[pyfunction]
pub(crate) fn command_line(arguments: Vec<OsString>) {
    std::process::exit(alexnet_cli::run(arguments).into());
}

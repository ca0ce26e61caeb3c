//! Python package `alexnet`: the library's classifier, features, explanations, LPIPS and training as an extension module.
//!
//! This crate converts between Python objects and the library's types; everything else is the library's. Its Python half,
//! `python/alexnet`, has what is easier said in Python: the scikit-learn estimator, notebook output, progress.
//!
//! The crate is empty without the feature `extension`, which maturin enables, so that the workspace builds and passes its tests
//! where there is no Python.
#![cfg(feature = "extension")]

mod arrays;
mod command_line;
mod errors;
mod events;
mod explain;
mod images;
mod inputs;
mod layers;
mod locate;
mod lpips;
mod model;
mod prediction;
mod process;
mod signals;
mod state_dict;
mod train;

use pyo3::prelude::*;

/// The extension module; `alexnet/__init__.py` re-exports its content.
#[pymodule]
mod _native {
    #[pymodule_export]
    use crate::{
        command_line::command_line,
        errors::AlexNetError,
        events::TrainEvent,
        explain::Explain,
        images::{encode_png, image_files},
        lpips::Lpips,
        model::{Model, load, networks},
        prediction::Prediction,
        train::{TrainResult, train},
    };

    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}

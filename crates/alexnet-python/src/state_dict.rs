//! Parameters by name.

use alexnet::Result;
use alexnet::engine::ParameterStore;
use alexnet::formats;
use alexnet::net::{Net, ParamNaming};
use pyo3::PyResult;
use pyo3::exceptions::PyValueError;

/// A parameter of a network: its name there, its name for the user, and its shape.
pub(crate) struct Named {
    own: String,
    name: String,
    shape: Vec<usize>,
}

/// The parameters of a network under a naming scheme, `alexnet` or `torchvision`.
///
/// # Errors
/// An unknown scheme, or torchvision's for a network that torchvision does not have.
pub(crate) fn names(net: &Net, scheme: &str) -> PyResult<Vec<Named>> {
    let naming = match scheme {
        "alexnet" => &ParamNaming::OWN,
        "torchvision" if net.name == "torchvision" => ParamNaming::of_framework(scheme, &net.name).unwrap_or(&ParamNaming::OWN),
        "torchvision" => {
            let message = format!("torchvision has no {}; use names=\"alexnet\"", net.name);
            return Err(PyValueError::new_err(message));
        }
        other => return Err(PyValueError::new_err(format!("names: expected torchvision or alexnet, got {other}"))),
    };
    let parameters = formats::parameters(net).map_err(crate::errors::exception)?;
    let named = |(own, shape): (String, Vec<usize>)| {
        let name = match naming.is_own() {
            true => Some(own.clone()),
            false => naming.of(&own),
        };
        let name =
            name.ok_or_else(|| PyValueError::new_err(format!("torchvision has no name for {own}; use names=\"alexnet\"")))?;
        Ok(Named { own, name, shape })
    };
    parameters.into_iter().map(named).collect()
}

/// A parameter for the user.
pub(crate) struct Parameter {
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
    pub(crate) values: Vec<f32>,
}

/// Values of parameters.
pub(crate) fn parameters(engine: &(impl ParameterStore + ?Sized), names: Vec<Named>) -> Result<Vec<Parameter>> {
    let read = |Named { own, name, shape }| Ok(Parameter { name, shape, values: engine.parameter(&own)? });
    names.into_iter().map(read).collect()
}

//! Backbone of LPIPS: torchvision's AlexNet up to relu5.

use super::LAYERS;
use crate::formats::{Model, TensorData, parameters, parse};
use crate::net::{BiasInit, Net, Op, WeightInit, presets};
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::path::Path;

/// Names of the convolutions in torchvision and in the package's module, whose slices keep torchvision's numbers.
const NAMES: [(&str, [&str; 2]); 5] = [
    ("conv1", ["features.0", "net.slice1.0"]),
    ("conv2", ["features.3", "net.slice2.3"]),
    ("conv3", ["features.6", "net.slice3.6"]),
    ("conv4", ["features.8", "net.slice4.8"]),
    ("conv5", ["features.10", "net.slice5.10"]),
];

/// The five convolutions and their net.
pub struct Backbone {
    /// Net of the compared layers and those below.
    pub net: Net,
    pub(super) tensors: BTreeMap<String, TensorData>,
}

impl Backbone {
    /// Extracts the backbone of a model.
    ///
    /// # Errors
    /// The layers up to relu5 are not torchvision's.
    pub fn of(model: &Model) -> Result<Backbone> {
        let net = wanted()?;
        if beginning(&model.net).as_ref() != Some(&net) {
            return Err(Error::Invalid(format!("LPIPS needs torchvision's AlexNet; {} has other layers", model.net.name)));
        }
        let mut tensors = BTreeMap::new();
        for (name, _) in parameters(&net)? {
            let values = model.tensors.get(&name);
            let values = values.ok_or_else(|| Error::Invalid(format!("the model lacks the parameter {name}")))?;
            tensors.insert(name, values.clone());
        }
        Ok(Backbone { net, tensors })
    }

    /// Reads a file without a whole model: torchvision's `features` alone, or the state of the package's module. `None` if it is
    /// neither.
    ///
    /// # Errors
    /// The values cannot be read.
    pub fn read(path: &Path) -> Result<Option<Backbone>> {
        let (parsed, net) = (parse(path)?, wanted()?);
        let mut tensors = BTreeMap::new();
        for (name, shape) in parameters(&net)? {
            let theirs = NAMES.iter().find_map(|(own, theirs)| Some((theirs, name.strip_prefix(own)?)));
            let found = parsed.tensors().iter().find(|tensor| {
                theirs.is_some_and(|(theirs, part)| theirs.iter().any(|theirs| tensor.name == format!("{theirs}{part}")))
            });
            let Some(found) = found.filter(|tensor| tensor.shape == shape) else { return Ok(None) };
            let values = parsed.values(found)?;
            tensors.insert(name, values.into());
        }
        Ok(Some(Backbone { net, tensors }))
    }
}

/// torchvision's layers up to relu5.
fn wanted() -> Result<Net> {
    let net = beginning(&presets::by_name("torchvision")?);
    net.ok_or_else(|| Error::Invalid("torchvision's AlexNet has no relu5".into()))
}

/// The layers of a net up to relu5, without its name and initialisation.
fn beginning(net: &Net) -> Option<Net> {
    let end = net.layers.iter().position(|layer| layer.name == LAYERS[4])?;
    let mut layers = net.layers[..=end].to_vec();
    for layer in &mut layers {
        if let Op::Conv { weight_init, bias_init, .. } = &mut layer.op {
            (*weight_init, *bias_init) = (WeightInit::HeNormal, BiasInit::Constant(0.0));
        }
    }
    // Images of any size are compared.
    Some(Net { name: "trunk".into(), image_size: 224, layers })
}

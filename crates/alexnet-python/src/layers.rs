//! Layers by name: the network's own, and those of torchvision's modules.

use alexnet::Result;
use alexnet::features::{Pool, Taken};
use alexnet::net::Net;

/// Modules of torchvision's `features`; `avgpool` and `classifier` follow. The layers of our net are in the same order.
const FEATURES: usize = 13;

/// A layer whose output is wanted.
pub(crate) struct Layer {
    /// The network's name for it.
    pub(crate) name: String,
    /// Shape of an image's features: `[features]`, or `[channels, rows, columns]`.
    pub(crate) shape: Vec<usize>,
}

impl Layer {
    /// Number of values of an image.
    pub(crate) fn len(&self) -> usize {
        self.shape.iter().product()
    }
}

/// Finds a layer by the network's name for it, or by the name of torchvision's module.
///
/// # Errors
/// The network has no such layer.
pub(crate) fn find(net: &Net, layer: &str, before_relu: bool) -> Result<Layer> {
    let Some(at) = of_torchvision(net, layer) else {
        let taken = Taken::new(net, layer, before_relu, Pool::None)?;
        return Ok(Layer { name: taken.layer().into(), shape: taken.shape().to_vec() });
    };
    // The output of a module is that of this very layer; the maps are flattened before the first of `classifier`.
    let output = net.shapes()?[at].output;
    let shape = match at <= FEATURES {
        true => vec![output.channels, output.size, output.size],
        false => vec![output.len()],
    };
    Ok(Layer { name: net.layers[at].name.clone(), shape })
}

/// Index of the layer that is a module of torchvision's AlexNet, such as `classifier.4`.
fn of_torchvision(net: &Net, module: &str) -> Option<usize> {
    if net.name != "torchvision" {
        return None;
    }
    let (block, index) = module.split_once('.')?;
    let index: usize = index.parse().ok()?;
    let at = match block {
        "features" if index < FEATURES => index,
        "classifier" => FEATURES + 1 + index,
        _ => return None,
    };
    (at < net.layers.len()).then_some(at)
}

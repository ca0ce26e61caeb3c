//! AlexNets as data: a network is a list of layers, with its shapes, costs, parameter names, preprocessing and a diagram.
//!
//! A new variant is a new entry in [`presets`], not new code.
//!
//! ```
//! use alexnet_net::{Preprocess, Resize, presets};
//!
//! # fn main() -> alexnet_net::Result<()> {
//! let net = presets::by_name("torchvision")?.with_classes(10);
//! let shapes = net.shapes()?;
//! assert_eq!(shapes[0].name, "conv1");
//! assert_eq!((shapes[0].output.channels, shapes[0].output.size), (64, 55));
//! assert_eq!(Preprocess::for_net(&net).resize, Resize::ShortSide(256));
//! # Ok(())
//! # }
//! ```

mod describe;
pub mod diagram;
mod layer;
mod naming;
pub mod preprocess;
pub mod presets;
mod receptive_field;
mod shape;
pub mod towers;

pub use alexnet_files::{Error, Result};
pub use describe::with_commas;
pub use layer::{Activation, BiasInit, DropoutStyle, Layer, Op, Pad, Rounding, WeightInit};
pub use naming::ParamNaming;
pub use preprocess::{Channels, Mean, Preprocess, Resize};
pub use receptive_field::ReceptiveField;
pub use shape::{LayerShape, Shape, Totals};

use serde::{Deserialize, Serialize};

/// A network: its input, its layers in order, and its number of classes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Net {
    /// Name of the preset, or a custom name.
    #[serde(deserialize_with = "presets::deserialize_name")]
    pub name: String,
    /// Rows and columns of the square input in pixels; it has three channels.
    pub image_size: usize,
    /// The layers in order; the last one computes the logits, one per class.
    pub layers: Vec<Layer>,
}

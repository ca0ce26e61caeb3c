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

mod batch_norm;
mod describe;
pub mod diagram;
mod former_names;
pub mod imagenet;
mod layer;
mod naming;
mod net;
pub mod preprocess;
pub mod presets;
mod receptive_field;
mod shape;
pub mod towers;

pub use alexnet_files::{Error, Result};
pub use batch_norm::Folded;
pub use describe::with_commas;
pub use layer::{Activation, BiasInit, DropoutStyle, Layer, Op, Pad, Rounding, WeightInit};
pub use naming::ParamNaming;
pub use net::Net;
pub use preprocess::{Channels, JpegDecoding, Mean, Preprocess, Resize};
pub use receptive_field::ReceptiveField;
pub use shape::{LayerShape, Shape, Totals};

//! What a network is: a list of layers, as data.
//!
//! A new variant is a new row in [`presets`], not new code. Shapes, counts, drawings, weight files and engines read the list.

mod describe;
pub mod diagram;
mod layer;
mod naming;
pub mod presets;
mod receptive_field;
mod shape;
pub mod towers;

pub use describe::with_commas;
pub use layer::{Activation, BiasInit, DropoutStyle, Layer, Op, Pad, Rounding, WeightInit};
pub use naming::ParamNaming;
pub use receptive_field::ReceptiveField;
pub use shape::{LayerShape, Shape, Totals};

use serde::{Deserialize, Serialize};

/// A network: its input, its layers in order, and its number of classes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Net {
    /// Name of the preset, or the user's own.
    #[serde(deserialize_with = "presets::deserialize_name")]
    pub name: String,
    /// Rows and columns of the square input, in pixels, of three channels.
    pub image_size: usize,
    /// The layers, first to last; the last one gives the logits, one a class.
    pub layers: Vec<Layer>,
}

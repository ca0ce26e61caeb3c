//! A network.

use crate::former_names;
use crate::layer::Layer;
use serde::{Deserialize, Serialize};

/// A network: its input, its layers in order, and its number of classes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Net {
    /// Name of the preset, or a custom name.
    #[serde(deserialize_with = "former_names::deserialize_name")]
    pub name: String,
    /// Rows and columns of the square input in pixels; it has three channels.
    pub image_size: usize,
    /// The layers in order; the last one computes the logits, one per class.
    pub layers: Vec<Layer>,
}

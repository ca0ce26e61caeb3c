//! Quantisation parameters of int8 models.

use std::collections::BTreeMap;

/// Affine quantisation of a layer's input: `scale * (byte - zero)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct QuantParams {
    /// Difference between adjacent levels.
    pub scale: f32,
    /// The byte that represents 0.
    pub zero: u8,
}

/// Quantisation parameters of each layer's input, by the layer's name.
pub type ActivationRanges = BTreeMap<String, QuantParams>;

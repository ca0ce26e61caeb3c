//! Quantisation parameters: what the bytes of an int8 model stand for.

use std::collections::BTreeMap;

/// What the bytes of a layer's input stand for: `scale * (byte - zero)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct QuantParams {
    /// Difference of two neighbouring bytes.
    pub scale: f32,
    /// The byte that stands for 0.
    pub zero: u8,
}

/// Quantisation parameters of each layer's input, by the layer's name.
pub type ActivationRanges = BTreeMap<String, QuantParams>;

//! Linear layers with 4-bit weights and 8-bit activations.
//!
//! With one image each weight is used once, and reading the weights dominates the time: 58.6 million in AlexNet, 234 MB as
//! floats, 59 MB as bytes, 33 MB here. 32 inputs of an output share a bf16 scale; a weight is an integer from -8 to 7 times the
//! scale, stored as the nibble q = weight + 8, so that products of unsigned bytes and unsigned nibbles are summed exactly:
//!
//! ```text
//! y[k] = bias[k] + scale_x sum over groups g of  scale[k, g] (sum of x q - 8 sum of x)        x, q: the 32 of the group
//! ```
//!
//! minus the contribution of x's zero point, which is precomputed. Per-channel bytes need no groups, but 16 levels do: with one
//! scale for all 9,216 inputs of fc6, the largest weight would leave most others two or three levels.
//!
//! # Layout
//!
//! [panel of 32 outputs][group of 32 inputs][144 words]: a single stream of memory, read once, with 4.5 bits per weight.
//!
//! ```text
//! words 0..32    lane by lane: inputs 0..4 in the low nibbles of the word's four bytes, inputs 4..8 in the high ones
//! words 32..128  the other three times 8 inputs
//! words 128..144 scales: of lane l in the low half of word l, of lane 16 + l in its high half
//! ```

pub(crate) mod kernels;
mod linear;
pub mod reference;
#[cfg(test)]
mod tests;
mod weights;

pub use linear::forward as linear;
pub use weights::Weights;

use crate::weight_layout::PANEL;

/// Number of inputs that share a scale.
const GROUP: usize = 32;
/// Words of nibbles of a group's panel, eight weights each.
const NIBBLES: usize = GROUP / 8 * PANEL;
/// Words of a group's panel, scales included.
const WORDS: usize = NIBBLES + PANEL / 2;
/// Nibble of a zero weight.
const MIDDLE: i32 = 8;

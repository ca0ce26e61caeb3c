//! Linear layers whose weights have 4 bits, on activations in bytes.
//!
//! With one picture each weight is used once, and the time is that of reading them: 58.6 million in AlexNet, 234 MB as floats,
//! 59 MB as bytes, 33 MB here. 32 inputs of an output share a scale, a bf16; a weight is a whole number from -8 to 7 of it, kept
//! as the nibble q = weight + 8, so that products of bytes without a sign and nibbles without a sign are summed exactly:
//!
//! ```text
//! y[k] = bias[k] + scale_x sum over groups g of  scale[k, g] (sum of x q - 8 sum of x)        x, q: the 32 of the group
//! ```
//!
//! less what x's zero adds, which is known before. Per-channel bytes need no groups; 16 steps do: with one scale for all 9,216
//! inputs of fc6 the largest weight would leave most of the others two or three steps.
//!
//! # Layout
//!
//! [panel of 32 outputs][group of 32 inputs][144 words]: one stream of memory that is read once, 4.5 bits a weight.
//!
//! ```text
//! words 0..32    lane by lane: inputs 0..4 in the low nibbles of the word's four bytes, inputs 4..8 in the high ones
//! words 32..128  the other three times 8 inputs
//! words 128..144 scales: of lane l in the low half of word l, of lane 16 + l in its high half
//! ```

mod kernels;
mod linear;
pub mod reference;
#[cfg(test)]
mod tests;
mod unpack;
mod weights;

pub use linear::forward as linear;
pub use weights::Weights;

use crate::weight_layout::PANEL;

/// Inputs that share a scale.
const GROUP: usize = 32;
/// Words of nibbles of a group's panel, eight weights each.
const NIBBLES: usize = GROUP / 8 * PANEL;
/// Words of a group's panel, scales included.
const WORDS: usize = NIBBLES + PANEL / 2;
/// The nibble of a weight of zero.
const MIDDLE: i32 = 8;

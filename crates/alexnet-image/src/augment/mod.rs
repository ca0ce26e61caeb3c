//! Image operations of training-time augmentation, as torchvision's `transforms.v2` computes them on 8-bit tensors.
//!
//! A [`Canvas`] holds an image while operations change it. [`Steps`] draws the parameters of a recipe's operations from a random key
//! and applies them; [`Operation`] and [`Policy`] are the operations of TrivialAugmentWide, RandAugment and AugMix. Every operation
//! is within one level of torchvision's, on every instruction set with the same bits.

mod augmix;
mod canvas;
mod colour;
mod erase;
mod filter;
mod hue;
mod levels;
mod operation;
mod policy;
mod steps;
#[cfg(test)]
mod tests;
mod warp;

pub use canvas::Canvas;
pub use erase::{Rectangle, random_rectangle};
pub use operation::{Operation, Space};
pub use policy::Policy;
pub use steps::{ColorJitter, RandomAffine, Steps};
pub use warp::{Affine, Centre, Interpolation};

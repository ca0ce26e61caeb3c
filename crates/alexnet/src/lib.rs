//! AlexNet: every published variant as data, engines that run them, training, evaluation, explanation and model files of five formats.
//!
//! ```no_run
//! # fn main() -> alexnet::Result<()> {
//! let mut classifier = alexnet::Classifier::open("best.safetensors")?;
//! for p in classifier.predict("cat.jpg")?.top(5) {
//!     println!("{} {:.1} %", p.label, 100.0 * p.probability);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Three ideas hold the crate together:
//!
//! 1. [`net::Net`] is data: a list of layers that shapes, counts, drawings, weight files and engines all read.
//! 2. [`engine::Engine`] runs a net: trainer, evaluator and predictor know only this trait.
//! 3. [`image::Preprocess`] travels with the weights: the same code turns an image into numbers everywhere.

pub mod class_match;
pub mod classifier;
pub mod data;
pub mod distributed;
pub mod draw;
pub mod engine;
pub mod eval;
pub mod explain;
pub mod features;
pub mod lpips;
pub mod predict;
pub mod quality;
pub mod quantize;
pub mod report;
pub mod selftest;
pub mod tensorboard;
pub mod train;

pub use alexnet_files::{self as files, Error, Result, error, escape, memory};
pub use alexnet_formats as formats;
pub use alexnet_image as image;
pub use alexnet_net as net;
pub use classifier::{Classifier, Prediction, Predictions};

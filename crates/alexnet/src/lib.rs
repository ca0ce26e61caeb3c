//! AlexNet: every published variant as data, engines that run them, training, evaluation, explanation and model files of five formats.
//!
//! Classify an image with a model file of any format:
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
//! Train one on the built-in shapes, a network of 64 pixels for two steps, and use it:
//!
//! ```
//! # fn main() -> alexnet::Result<()> {
//! # let folder = tempfile::tempdir().unwrap();
//! # let out = folder.path().join("run");
//! let settings = alexnet::TrainSettings { max_steps: Some(2), ..Default::default() };
//! let run = settings.net("torchvision").image_size(64).batch(4).epochs(1).out(&out).run()?;
//! let mut classifier = alexnet::Classifier::open(&run.last)?;
//! let image = alexnet::Image { width: 80, height: 60, rgb: vec![128; 80 * 60 * 3] };
//! assert_eq!(classifier.predict(&image)?.top(3).len(), 3);
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
pub mod labels;
pub mod lpips;
pub mod predict;
pub mod quality;
pub mod quantize;
pub mod report;
pub mod selftest;
pub mod tensorboard;
pub mod train;

pub use alexnet_files::{self as files, Error, Result, error, escape, memory};
pub use alexnet_formats::{self as formats, Model};
pub use alexnet_image::{self as image, Image};
pub use alexnet_net::{self as net, Net, Preprocess};
pub use classifier::{Classifier, ClassifierBuilder, Prediction, Predictions};
pub use data::Dataset;
pub use engine::cpu::Cpu;
pub use engine::{Engine, Precision};
pub use lpips::Lpips;
pub use train::{Outcome as TrainOutcome, Settings as TrainSettings};

//! AlexNet: every published variant as data, engines that run them, training, evaluation, explanation and model files of five formats.
//!
//! Classify an image with a model file of any format:
//!
//! ```standalone_crate
//! # use alexnet::net::{Pad, Rounding};
//! # fn main() -> alexnet::Result<()> {
//! # let folder = tempfile::tempdir().unwrap();
//! # let conv = alexnet_testkit::nets::conv(4, 3, 1, Pad::all(1), 1, Rounding::Floor);
//! # let net = alexnet_testkit::nets::net("small", &[("conv1", conv), ("fc2", alexnet_testkit::nets::fc(3))]);
//! # let zeros = |shape: Vec<usize>| vec![0.0; shape.iter().product()].into();
//! # let tensors = alexnet::formats::parameters(&net)?.into_iter().map(|(name, shape)| (name, zeros(shape))).collect();
//! # let (preprocess, classes) = (alexnet::Preprocess::for_net(&net), ["cat", "dog", "ship"].map(String::from).to_vec());
//! # let model = alexnet::Model { net, preprocess, classes, recipe: Default::default(), ranges: Default::default(), temperature: None, tensors };
//! # alexnet::formats::write(folder.path().join("best.safetensors"), &model)?;
//! # let pixels = alexnet_testkit::images::striped(40, 30, 1);
//! # std::fs::write(folder.path().join("cat.bmp"), alexnet_testkit::images::bmp(40, 30, &pixels)).unwrap();
//! # std::env::set_current_dir(&folder).unwrap();
//! let mut classifier = alexnet::Classifier::open("best.safetensors")?;
//! for p in classifier.predict("cat.bmp")?.top(5) {
//!     println!("{} {:.1} %", p.label, 100.0 * p.probability);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Train a model for two steps on the built-in synthetic data set, and use it:
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
//! 2. [`Engine`] runs a net: trainer, evaluator and predictor know only the traits of [`engine`].
//! 3. [`image::Preprocess`] travels with the weights: the same code turns an image into numbers everywhere.

// What only training uses of the engines and of the class names.
#![cfg_attr(not(feature = "train"), allow(dead_code, unused_imports))]

#[cfg(feature = "train")]
pub mod answers;
#[cfg(feature = "train")]
pub mod average;
pub mod class_match;
pub mod classifier;
#[cfg(feature = "train")]
pub mod data;
#[cfg(feature = "train")]
pub mod distributed;
#[cfg(feature = "train")]
pub mod doctor;
#[cfg(feature = "train")]
pub mod draw;
pub mod engine;
pub mod ensemble;
#[cfg(feature = "train")]
pub mod eval;
#[cfg(feature = "train")]
pub mod explain;
#[cfg(feature = "train")]
pub mod features;
pub mod labels;
#[cfg(feature = "train")]
pub mod lpips;
pub mod predict;
pub mod pretrained;
#[cfg(feature = "train")]
pub mod quality;
#[cfg(feature = "train")]
pub mod quantize;
#[cfg(feature = "train")]
pub mod report;
#[cfg(feature = "train")]
pub mod reproduce;
#[cfg(feature = "train")]
pub mod selftest;
#[cfg(feature = "train")]
pub mod tensorboard;
#[cfg(feature = "train")]
pub mod train;

pub use alexnet_files::{self as files, Error, Result, error, escape, memory};
pub use alexnet_formats::{self as formats, Model};
pub use alexnet_image::{self as image, Image};
pub use alexnet_net::{self as net, Net, Preprocess};
pub use classifier::{Classifier, ClassifierBuilder, Prediction, Predictions};
#[cfg(feature = "train")]
pub use data::Dataset;
pub use engine::cpu::Cpu;
pub use engine::{Engine, Precision};
pub use ensemble::Ensemble;
#[cfg(feature = "train")]
pub use lpips::Lpips;
#[cfg(feature = "train")]
pub use train::{Outcome as TrainOutcome, Settings as TrainSettings};

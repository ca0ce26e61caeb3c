//! CPU kernels: forward and backward passes of AlexNet's operators.
//!
//! This crate opens no files, starts no threads other than those of a [`ThreadPool`](thread_pool::ThreadPool), and knows nothing
//! about AlexNet. Each operator has a folder: `mod.rs` selects an implementation, `reference.rs` is the plain version that tests
//! compare with, and every other file is one idea. Forward and backward are side by side. Code for one instruction set is in that
//! set's folder in [`isa`].
//!
//! # Shape letters
//!
//! | letter | meaning |
//! |---|---|
//! | N | images in a batch |
//! | C, H, W | channels, rows and columns of an input map |
//! | K | output channels (kernels), or output features of a linear layer |
//! | R, S | rows and columns of a kernel |
//! | P, Q | rows and columns of an output map |
//!
//! # Layout
//!
//! Maps are [N, H, W, C]: channels are contiguous ("channels last"), so that one vector register holds neighbouring channels of a
//! pixel in every operator. A [`FeatureMap`](feature_map::FeatureMap) describes the location of a map in its buffer, including
//! the border of zeros.

pub mod activation;
pub mod allocator;
pub mod batch_norm;
pub mod bf16;
pub mod bias;
pub mod buffer;
pub mod context;
pub mod conv;
pub mod dropout;
pub mod executor;
pub mod feature_map;
mod gemm;
pub mod int4;
pub mod int8;
pub mod isa;
pub mod layout;
pub mod linear;
pub mod local_conv;
pub mod loss;
pub mod lrn;
pub mod optim;
pub mod pool;
pub mod random;
pub mod roofline;
mod rows;
mod simd;
pub mod spatial_norm;
pub mod thread_pool;
pub mod weight_layout;

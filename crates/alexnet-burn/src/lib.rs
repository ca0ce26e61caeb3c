//! The engine on [Burn](https://burn.dev): any [`Net`](alexnet::net::Net) on any device that Burn reaches.
//!
//! Layers are interpreted one by one (`layer`), gradients come from Burn's automatic differentiation, and updates follow
//! this program's own rules (`parameter`), so that a run may move between this engine and the CPU engine in its middle. A net of
//! two groups may lie on two devices, as in 2012 (`tower`).
//!
//! Each kind of device is a cargo feature: `flex` (Burn's own processor backend, with which all of this is tested), `cuda`,
//! `rocm`, `vulkan`, `metal`, `webgpu`. Without any of them this library is empty, and Burn is not built.
#![cfg(any(feature = "flex", feature = "cuda", feature = "rocm", feature = "vulkan", feature = "metal", feature = "webgpu"))]

mod batch_norm;
pub mod device;
mod engine;
mod gradient;
mod layer;
mod matmul;
mod number;
mod parameter;
mod tower;

pub use engine::Gpu;

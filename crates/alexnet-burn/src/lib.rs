//! AlexNet engine on [Burn](https://burn.dev): any [`Net`](alexnet::net::Net) on any device that Burn supports.
//!
//! Layers are interpreted one by one (`layer`), gradients come from Burn's automatic differentiation, and updates
//! follow this program's own rules (`parameter`), so that a run can switch between this engine and the CPU engine at
//! any point. A net of two groups can be split over two devices, as in 2012 (`tower`).
//!
//! Each device kind is a cargo feature: `flex` (Burn's own CPU backend, used in the tests), `cuda`, `rocm`, `vulkan`,
//! `metal`, `webgpu`. Without any of them this library is empty, and Burn is not built.
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

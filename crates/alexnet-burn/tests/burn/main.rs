//! Comparison of the Burn engine with the CPU engine, PyTorch's values, and on a Vulkan device.

mod against_cpu;
mod golden;
mod software_gpu;

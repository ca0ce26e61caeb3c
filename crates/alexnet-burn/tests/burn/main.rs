//! The engine on Burn beside the CPU engine, PyTorch's values, and a Vulkan device.

mod against_cpu;
mod golden;
mod software_gpu;

//! Hardware and software of a run.

use serde::{Deserialize, Serialize};

/// Hardware and software of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostInfo {
    /// CPU name, as reported by the system.
    pub processor: String,
    /// Number of cores available to this process.
    pub cores: usize,
    /// Instruction set of the kernels.
    pub isa: String,
    /// Number of kernel threads.
    pub threads: usize,
    /// Device: `cpu`, or another engine's name.
    pub device: String,
    /// Precision: `f32`, `bf16`.
    pub precision: String,
    /// Operating system and architecture.
    pub system: String,
    /// Version of this library.
    pub version: String,
}

impl HostInfo {
    /// Describes this machine. `threads` as given by options: 0 means one per core.
    pub fn here(device: &str, precision: &str, threads: usize) -> HostInfo {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        HostInfo {
            processor: processor().unwrap_or_else(|| std::env::consts::ARCH.into()),
            cores,
            isa: alexnet_kernels::isa::Isa::from_env().map_or_else(|_| "unknown".into(), |isa| isa.to_string()),
            threads: if threads == 0 { cores } else { threads },
            device: device.into(),
            precision: precision.into(),
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            version: env!("CARGO_PKG_VERSION").into(),
        }
    }
}

/// Reads the name from Linux's /proc/cpuinfo; other systems would need a library.
fn processor() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("model name"))?;
    let name = line.trim_start_matches([' ', '\t', ':']).trim();
    (!name.is_empty()).then(|| name.to_string())
}

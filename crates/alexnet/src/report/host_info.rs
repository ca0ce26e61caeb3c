//! What a run ran on.

use serde::{Deserialize, Serialize};

/// What a run ran on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostInfo {
    /// The processor's name, as the system tells it.
    pub processor: String,
    /// Its cores, as far as this process may use them.
    pub cores: usize,
    /// Instruction set of the kernels.
    pub isa: String,
    /// Threads of the kernels.
    pub threads: usize,
    /// What ran the network: `cpu`, or another engine's name.
    pub device: String,
    /// Arithmetic: `f32`, `bf16`.
    pub precision: String,
    /// Operating system and architecture.
    pub system: String,
    /// Version of this library.
    pub version: String,
}

impl HostInfo {
    /// This machine. `threads` as options give it: 0 is one a core.
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

/// Linux tells it in /proc/cpuinfo; nowhere else is there a way without a library.
fn processor() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("model name"))?;
    let name = line.trim_start_matches([' ', '\t', ':']).trim();
    (!name.is_empty()).then(|| name.to_string())
}

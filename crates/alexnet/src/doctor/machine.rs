//! What the system says of this machine. Linux says most; elsewhere fields are unknown.

use serde::Serialize;

/// Processors and memory.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Machine {
    /// The processor's name.
    pub processor: Option<String>,
    /// Number of logical processors of the machine.
    pub processors: Option<usize>,
    /// Number of threads that this process may run at the same time, by its affinity and the container's quota.
    pub threads: usize,
    /// Mean number of running processes in the last minute.
    pub load: Option<f64>,
    /// Memory of the machine or container in bytes, with swap.
    pub memory: Option<u64>,
    /// Memory that is available at the moment in bytes.
    pub available: Option<u64>,
}

impl Machine {
    /// Asks the system.
    pub fn examine() -> Machine {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let processors = read("/proc/cpuinfo");
        Machine {
            processor: name(&processors),
            processors: Some(count(&processors)).filter(|&n| n > 0),
            threads: std::thread::available_parallelism().map_or(1, |n| n.get()),
            load: read("/proc/loadavg").split(' ').next().and_then(|word| word.parse().ok()),
            memory: crate::memory::total(),
            available: crate::memory::available(),
        }
    }
}

/// The value of a line `KEY : value` of /proc/cpuinfo.
fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let of = |line: &'a str| line.split_once(':').filter(|(name, _)| name.trim() == key).map(|(_, value)| value.trim());
    text.lines().find_map(of)
}

/// Name of the first processor. Arm machines have numbers in its place, which nobody knows by heart.
fn name(cpuinfo: &str) -> Option<String> {
    value(cpuinfo, "model name").or_else(|| value(cpuinfo, "Model")).map(String::from)
}

fn count(cpuinfo: &str) -> usize {
    cpuinfo.lines().filter(|line| line.split_once(':').is_some_and(|(name, _)| name.trim() == "processor")).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linux_files_are_understood() {
        let cpuinfo =
            "processor\t: 0\nmodel name\t: AMD EPYC 9254\nflags\t: fpu\n\nprocessor\t: 1\nmodel name\t: AMD EPYC 9254\n";
        assert_eq!((name(cpuinfo), count(cpuinfo)), (Some("AMD EPYC 9254".into()), 2));
        let arm = "processor\t: 0\nCPU part\t: 0xd08\n\nModel\t\t: Raspberry Pi 4 Model B Rev 1.4\n";
        assert_eq!((name(arm), count(arm)), (Some("Raspberry Pi 4 Model B Rev 1.4".into()), 1));
        assert_eq!((name(""), count("")), (None, 0));
    }
}

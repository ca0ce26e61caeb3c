//! Check of memory requirements against the machine's memory.

use crate::{Error, Result};

/// Rejects work that needs more memory than the machine has; with overcommit, the system would kill the program midway. If the
/// amount is unknown, nothing is rejected.
///
/// # Errors
/// `what` needs `bytes` bytes, and the machine has less.
pub fn check(bytes: u128, what: impl FnOnce() -> String) -> Result<()> {
    match total() {
        Some(total) if bytes > u128::from(total) => Err(Error::Invalid(format!(
            "{} needs {} GB of memory, but the machine has {} GB; use a smaller batch or image size",
            what(),
            bytes.div_ceil(1_000_000_000),
            total / 1_000_000_000
        ))),
        _ => Ok(()),
    }
}

/// Bytes of memory and swap of the machine or container.
pub fn total() -> Option<u64> {
    let text = meminfo()?;
    let machine = bytes(&text, "MemTotal")? + bytes(&text, "SwapTotal").unwrap_or(0);
    let container = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|text| text.trim().parse::<u64>().ok());
    Some(container.map_or(machine, |container| container.min(machine)))
}

/// Bytes of the machine's memory that programs can have at the moment.
pub fn available() -> Option<u64> {
    bytes(&meminfo()?, "MemAvailable")
}

fn meminfo() -> Option<String> {
    std::fs::read_to_string("/proc/meminfo").ok()
}

/// The value of a line `KEY:   NUMBER kB` in bytes.
fn bytes(meminfo: &str, key: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requirements_beyond_any_machine_are_refused() {
        check(1 << 20, || unreachable!("a megabyte is available")).unwrap();
        if total().is_some() {
            let message = check(1 << 70, || "a batch".into()).unwrap_err().to_string();
            assert!(message.starts_with("a batch needs 1180591620718 GB"), "{message}");
        }
    }

    #[test]
    fn lines_of_meminfo_are_understood() {
        assert_eq!(bytes("MemTotal: 9 kB\nMemAvailable:   2048 kB\n", "MemAvailable"), Some(2 << 20));
        assert_eq!(bytes("MemAvailable: much kB", "MemAvailable"), None);
    }
}

//! How much memory this machine has, for what would take more.

use crate::{Error, Result};

/// Refuses work that takes more memory than the machine has: a system that promises it nevertheless would end the program midway.
/// Where the system does not say what it has, nothing is refused.
///
/// # Errors
/// `what` takes `bytes` bytes, and there are fewer.
pub fn check(bytes: u128, what: impl FnOnce() -> String) -> Result<()> {
    match total() {
        Some(total) if bytes > u128::from(total) => Err(Error::Invalid(format!(
            "{} takes {} GB of memory, and there are {}; a smaller batch or image size takes less",
            what(),
            bytes.div_ceil(1_000_000_000),
            total / 1_000_000_000
        ))),
        _ => Ok(()),
    }
}

/// Bytes of memory and swap that the machine, or the container, has.
fn total() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let kilobytes = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
    };
    let machine = (kilobytes("MemTotal:")? + kilobytes("SwapTotal:").unwrap_or(0)) * 1024;
    let container = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|text| text.trim().parse::<u64>().ok());
    Some(container.map_or(machine, |container| container.min(machine)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_machine_has_room_for_is_refused() {
        check(1 << 20, || unreachable!("a megabyte is there")).unwrap();
        if total().is_some() {
            let message = check(1 << 70, || "a batch".into()).unwrap_err().to_string();
            assert!(message.starts_with("a batch takes 1180591620718 GB"), "{message}");
        }
    }
}

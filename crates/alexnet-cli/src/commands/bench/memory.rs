//! The most memory that this process has had.

/// Bytes of the process's largest resident set so far, where the system says so (Linux).
pub(super) fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// A peak in words.
pub(super) fn told(peak: Option<u64>) -> String {
    peak.map_or_else(|| "unknown".into(), |bytes| format!("{:.2} GB", bytes as f64 / 1e9))
}

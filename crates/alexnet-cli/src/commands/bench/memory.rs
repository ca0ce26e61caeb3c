//! Peak memory of this process.

/// Peak resident set size of the process in bytes, if the system reports it (Linux).
pub(super) fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// Formats a peak.
pub(super) fn format(peak: Option<u64>) -> String {
    peak.map_or_else(|| "unknown".into(), |bytes| format!("{:.2} GB", bytes as f64 / 1e9))
}

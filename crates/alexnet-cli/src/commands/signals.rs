//! Handling of termination signals: SIGHUP, SIGINT and SIGTERM.

use std::io;

/// Selection of signals to handle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    /// Every signal not ignored at start; nohup ignores SIGHUP, and a script's background job SIGINT.
    NotIgnored,
    /// SIGINT and SIGTERM always, SIGHUP unless ignored.
    Stops,
}

/// Calls `handler` on its own thread for each signal received.
///
/// # Errors
/// The system refuses to install the handlers.
#[cfg(target_os = "linux")]
pub(crate) fn handle(which: Which, mut handler: impl FnMut() + Send + 'static) -> io::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let ignored = ignored();
    let is_handled = |signal: &i32| ignored >> (signal - 1) & 1 == 0 || (which == Which::Stops && *signal != SIGHUP);
    let signals: Vec<i32> = [SIGHUP, SIGINT, SIGTERM].into_iter().filter(is_handled).collect();
    let mut signals = signal_hook::iterator::Signals::new(signals)?;
    std::thread::Builder::new().name("signals".into()).spawn(move || signals.forever().for_each(|_| handler()))?;
    Ok(())
}

/// Bit mask of the ignored signals.
#[cfg(target_os = "linux")]
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    mask.unwrap_or(0)
}

/// Calls `handler` on its own thread for each signal received. Whether a single signal is ignored is unknown on this platform:
/// [`Which::NotIgnored`] handles none if any has another handler.
///
/// # Errors
/// The system refuses to install the handlers.
#[cfg(not(target_os = "linux"))]
pub(crate) fn handle(which: Which, handler: impl FnMut() + Send + 'static) -> io::Result<()> {
    let done = match which {
        Which::NotIgnored => ctrlc::try_set_handler(handler),
        Which::Stops => ctrlc::set_handler(handler),
    };
    done.map_err(io::Error::other)
}

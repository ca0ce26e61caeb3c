//! Signals that ask the program to end: hangup, Ctrl-C and a polite kill.

use std::io;

/// Signals that are handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    /// Each that was not ignored when the program began, as nohup ignores hangups and a script's background job Ctrl-C.
    NotIgnored,
    /// Ctrl-C and polite kills in any case, hangups where they were not ignored.
    Stops,
}

/// Calls `handler` in a thread of its own for each signal that comes.
///
/// # Errors
/// When the system refuses.
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

/// The signals that are ignored, a bit each.
#[cfg(target_os = "linux")]
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    mask.unwrap_or(0)
}

/// Calls `handler` in a thread of its own for each signal that comes. What is ignored cannot be told here for a signal alone:
/// [`Which::NotIgnored`] leaves all of them where one has another handler.
///
/// # Errors
/// When the system refuses.
#[cfg(not(target_os = "linux"))]
pub(crate) fn handle(which: Which, handler: impl FnMut() + Send + 'static) -> io::Result<()> {
    let done = match which {
        Which::NotIgnored => ctrlc::try_set_handler(handler),
        Which::Stops => ctrlc::set_handler(handler),
    };
    done.map_err(io::Error::other)
}

//! Signals that stop the server or reload models.

use crate::Control;

/// Handles signals: SIGTERM and SIGINT stop the server, a second one of either exits at once; SIGHUP reloads changed models.
pub(crate) fn listen(control: Control) -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use std::sync::Arc;
        use std::sync::atomic::{AtomicBool, Ordering};
        use tokio::signal::unix::{SignalKind, signal};
        let stopped = Arc::new(AtomicBool::new(false));
        for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
            let (mut signals, control, stopped) = (signal(kind)?, control.clone(), stopped.clone());
            tokio::spawn(async move {
                while signals.recv().await.is_some() {
                    if stopped.swap(true, Ordering::Relaxed) {
                        std::process::exit(1);
                    }
                    control.stop();
                }
            });
        }
        let mut signals = signal(SignalKind::hangup())?;
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                control.reload();
            }
        });
    }
    #[cfg(not(unix))]
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            control.stop();
        }
        if tokio::signal::ctrl_c().await.is_ok() {
            std::process::exit(1);
        }
    });
    Ok(())
}

//! Being asked to stop from outside.

use std::io;

/// The signals that ask a program to stop.
pub(crate) struct Interrupts {
    #[cfg(unix)]
    signals: [(&'static str, tokio::signal::unix::Signal); 3],
}

#[cfg(unix)]
impl Interrupts {
    /// From now on signals come here instead of ending the process.
    pub(crate) fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let signals = [
            ("SIGINT", signal(SignalKind::interrupt())?),
            ("SIGTERM", signal(SignalKind::terminate())?),
            ("SIGHUP", signal(SignalKind::hangup())?),
        ];
        Ok(Self { signals })
    }

    /// The name of the next signal. Cancel safe.
    pub(crate) async fn next(&mut self) -> &'static str {
        let [(interrupt, on_interrupt), (terminate, on_terminate), (hangup, on_hangup)] =
            &mut self.signals;
        tokio::select! {
            _ = on_interrupt.recv() => interrupt,
            _ = on_terminate.recv() => terminate,
            _ = on_hangup.recv() => hangup,
        }
    }
}

#[cfg(not(unix))]
impl Interrupts {
    /// From now on Ctrl-C comes here instead of ending the process.
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self {})
    }

    /// Ctrl-C. Cancel safe.
    pub(crate) async fn next(&mut self) -> &'static str {
        match tokio::signal::ctrl_c().await {
            Ok(()) => "Ctrl-C",
            Err(_) => std::future::pending().await,
        }
    }
}

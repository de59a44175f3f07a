//! The signals that tell the server to stop.

use std::io;
use std::sync::Arc;

use crate::app::App;
use crate::server::say;

/// They are heard from when this is made.
pub(crate) struct Signals {
    #[cfg(unix)]
    all: [tokio::signal::unix::Signal; 2],
}

impl Signals {
    pub(crate) fn new() -> io::Result<Self> {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            Ok(Self { all: [signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?] })
        }
        #[cfg(not(unix))]
        Ok(Self {})
    }

    async fn next(&mut self) {
        #[cfg(unix)]
        {
            let [terminate, interrupt] = &mut self.all;
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        }
        #[cfg(not(unix))]
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    }

    /// The first signal lets the server finish what it does, the second ends it at once; whatever was
    /// accepted goes on at the next start.
    pub(crate) async fn watch(mut self, app: Arc<App>) {
        self.next().await;
        tracing::info!(target: "flow", "the server was told to stop, and finishes what it does");
        app.draining.begin();
        self.next().await;
        say("the server was told to stop twice, and ends at once");
        std::process::exit(1);
    }
}

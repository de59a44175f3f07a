//! The end of the server, as everybody hears of it.

use tokio::sync::watch;

/// Says when the server is to stop, and that it is about to.
#[derive(Debug, Clone)]
pub(crate) struct Draining(watch::Sender<bool>);

impl Draining {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    pub(crate) fn begin(&self) {
        self.0.send_replace(true);
    }

    pub(crate) fn has_begun(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns once it has begun. Cancel safe.
    pub(crate) async fn begins(&self) {
        // The sender is here, so there is no error.
        let _ = self.0.subscribe().wait_for(|begun| *begun).await;
    }
}

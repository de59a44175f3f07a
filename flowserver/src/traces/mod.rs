//! Traces: which request led to what, across servers, for whoever collects spans over OTLP.
//!
//! A request is a span, and so are an execution, from its start to its end, and each attempt. The ids
//! of the last two follow from what they are of, so nothing about them is kept: whoever goes on with an
//! execution says the same of it.

mod exporter;
mod request;
mod span;
mod watch;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, watch as signal};
use tokio::task::JoinHandle;

pub(crate) use exporter::Endpoint;
use exporter::Exporter;
pub(crate) use request::{RequestTrace, accepted, within};
use span::Finished;
pub(crate) use watch::Watch;

/// How many spans may wait to be sent; more are dropped, and counted. A few megabytes, and some
/// seconds of a busy server.
const MOST_WAITING: usize = 8192;

/// How long the last spans may take when the server stops.
const FLUSH_TIME: Duration = Duration::from_secs(5);

/// Takes spans to be sent. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Traces {
    spans: mpsc::Sender<Finished>,
    exports: Arc<Exports>,
}

/// How many spans were sent, and how many were not.
#[derive(Debug, Default)]
pub(crate) struct Exports {
    exported: AtomicU64,
    dropped: AtomicU64,
    failed: AtomicU64,
}

/// The task that sends spans.
pub(crate) struct Sending {
    task: JoinHandle<()>,
    closing: signal::Sender<bool>,
}

impl Exports {
    /// Spans that were sent, spans that were not, and exports that failed.
    pub(crate) fn counts(&self) -> [u64; 3] {
        [&self.exported, &self.dropped, &self.failed].map(|count| count.load(Ordering::Relaxed))
    }
}

impl Traces {
    /// Sends spans to an endpoint from now on.
    pub(crate) fn start(endpoint: Endpoint, exports: Arc<Exports>) -> (Self, Sending) {
        let (spans, waiting) = mpsc::channel(MOST_WAITING);
        let (closing, closes) = signal::channel(false);
        let exporter = Exporter::new(endpoint, waiting, closes, exports.clone());
        let task = tokio::spawn(exporter.run());
        (Self { spans, exports }, Sending { task, closing })
    }

    /// Spans that go to a test.
    #[cfg(test)]
    fn to(most: usize) -> (Self, mpsc::Receiver<Finished>) {
        let (spans, waiting) = mpsc::channel(most);
        (Self { spans, exports: Arc::default() }, waiting)
    }

    /// Has a span sent, if there is room for it. Never waits.
    fn send(&self, span: Finished) {
        if self.spans.try_send(span).is_err() {
            self.exports.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Sending {
    /// Sends what is there, as far as that does not take too long, and no more.
    pub(crate) async fn close(self) {
        self.closing.send_replace(true);
        if tokio::time::timeout(FLUSH_TIME, self.task).await.is_err() {
            tracing::warn!("the last spans were not sent in time");
        }
    }
}

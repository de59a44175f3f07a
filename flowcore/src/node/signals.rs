//! How a running attempt is reached.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};

use super::{CancelReason, Cancellation, EventSink};

/// How the driver reaches a running attempt.
#[derive(Default)]
pub struct AttemptSignals {
    cancellation: OnceLock<Cancellation>,
    sink: Option<Arc<dyn EventSink>>,
    abandoned: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl AttemptSignals {
    /// Signals whose node events go to `sink`, or nowhere.
    pub fn new(sink: Option<Arc<dyn EventSink>>) -> Self {
        Self { sink, ..Self::default() }
    }

    /// The signal to stop; whoever asks for it is expected to listen.
    pub(super) fn cancellation(&self) -> Cancellation {
        self.cancellation.get_or_init(Cancellation::new).clone()
    }

    /// Where node events go, if anywhere.
    pub(super) fn sink(&self) -> Option<&Arc<dyn EventSink>> {
        self.sink.as_ref()
    }

    /// Tells the attempt to stop. Returns whether the attempt ever asked for its cancellation: one
    /// that did not cannot be waiting for it, and needs no grace.
    pub fn cancel(&self, reason: CancelReason) -> bool {
        let listens = self.cancellation.get().is_some();
        self.cancellation.get_or_init(Cancellation::new).cancel(reason);
        listens
    }

    /// Gives up on the attempt: whoever polls it is woken and lets it go.
    pub fn abandon(&self) {
        self.abandoned.store(true, Ordering::SeqCst);
        let waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Whether the attempt was given up.
    pub fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::SeqCst)
    }

    /// Ready once the attempt was given up; registers the waker until then.
    pub fn poll_abandoned(&self, cx: &Context<'_>) -> Poll<()> {
        let mut waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_abandoned() {
            return Poll::Ready(());
        }
        match &mut *waker {
            Some(waker) => waker.clone_from(cx.waker()),
            None => *waker = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}

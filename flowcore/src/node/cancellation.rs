//! How a running attempt hears that it should stop.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use serde::{Deserialize, Serialize};

/// Why something is cancelled. Ordered: a later one is stronger and replaces an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum CancelReason {
    /// A `first` join, or a `control.parallel_race`, took another branch.
    LostRace = 1,
    /// Another node failed under `StopWorkflow`.
    SiblingFailed = 2,
    /// A `control.stop` ended the execution.
    Stopped = 3,
    /// The control node around it took longer than its `timeout_ms`.
    ScopeTimeout = 4,
    /// The attempt took longer than its `timeout_ms`.
    AttemptTimeout = 5,
    /// The execution took longer than `max_execution_time_ms`.
    ExecutionTimeout = 6,
    /// The history of the execution has as many events as it may.
    TooManyEvents = 7,
    /// The history of the execution is as large as it may be.
    HistoryTooLarge = 8,
    /// A newer execution takes its place, under `concurrency` with `cancel_oldest`.
    Superseded = 9,
    /// Somebody asked for it.
    Requested = 10,
    /// The process is shutting down.
    Shutdown = 11,
}

impl CancelReason {
    fn from_u8(value: u8) -> Option<Self> {
        [
            Self::LostRace,
            Self::SiblingFailed,
            Self::Stopped,
            Self::ScopeTimeout,
            Self::AttemptTimeout,
            Self::ExecutionTimeout,
            Self::TooManyEvents,
            Self::HistoryTooLarge,
            Self::Superseded,
            Self::Requested,
            Self::Shutdown,
        ]
        .into_iter()
        .find(|reason| *reason as u8 == value)
    }

    /// The reason as a stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LostRace => "lost_race",
            Self::SiblingFailed => "sibling_failed",
            Self::Stopped => "stopped",
            Self::ScopeTimeout => "scope_timeout",
            Self::AttemptTimeout => "attempt_timeout",
            Self::ExecutionTimeout => "execution_timeout",
            Self::TooManyEvents => "too_many_events",
            Self::HistoryTooLarge => "history_too_large",
            Self::Superseded => "superseded",
            Self::Requested => "requested",
            Self::Shutdown => "shutdown",
        }
    }
}

impl fmt::Display for CancelReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A signal to stop; clones share it. It cannot be taken back.
#[derive(Clone, Default)]
pub struct Cancellation(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// 0, or a [`CancelReason`].
    reason: AtomicU8,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    next: u64,
    wakers: Vec<(u64, Waker)>,
}

impl Cancellation {
    /// A signal that nobody has given yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives the signal; a stronger reason replaces a weaker one.
    pub fn cancel(&self, reason: CancelReason) {
        self.0.reason.fetch_max(reason as u8, Ordering::SeqCst);
        let mut waiting = self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let wakers = std::mem::take(&mut waiting.wakers);
        drop(waiting);
        wakers.into_iter().for_each(|(_, waker)| waker.wake());
    }

    /// Whether the signal was given.
    pub fn is_cancelled(&self) -> bool {
        self.0.reason.load(Ordering::SeqCst) != 0
    }

    /// Why, if the signal was given.
    pub fn reason(&self) -> Option<CancelReason> {
        CancelReason::from_u8(self.0.reason.load(Ordering::SeqCst))
    }

    /// Waits for the signal; ready at once if it was given. Cancel safe.
    pub fn cancelled(&self) -> Cancelled {
        Cancelled { shared: self.0.clone(), key: None }
    }
}

impl fmt::Debug for Cancellation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cancellation").field(&self.reason()).finish()
    }
}

/// The future of [`Cancellation::cancelled`].
#[must_use = "futures do nothing unless awaited"]
pub struct Cancelled {
    shared: Arc<Shared>,
    key: Option<u64>,
}

impl Future for Cancelled {
    type Output = CancelReason;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<CancelReason> {
        let shared = self.shared.clone();
        let mut waiting = shared.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        // Read under the lock: `cancel` sets the reason before it takes the lock.
        if let Some(reason) = CancelReason::from_u8(shared.reason.load(Ordering::SeqCst)) {
            return Poll::Ready(reason);
        }
        let key = *self.key.get_or_insert_with(|| {
            waiting.next += 1;
            waiting.next
        });
        match waiting.wakers.iter_mut().find(|(other, _)| *other == key) {
            Some((_, waker)) => waker.clone_from(cx.waker()),
            None => waiting.wakers.push((key, cx.waker().clone())),
        }
        Poll::Pending
    }
}

impl Drop for Cancelled {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            let mut waiting = self.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.wakers.retain(|(other, _)| *other != key);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn the_signal_reaches_everyone_and_the_stronger_reason_wins() {
        let cancellation = Cancellation::new();
        let (mut first, second) = (cancellation.cancelled(), cancellation.cancelled());
        assert!((&mut first).now_or_never().is_none());
        assert!(!cancellation.is_cancelled());
        cancellation.clone().cancel(CancelReason::Requested);
        cancellation.cancel(CancelReason::LostRace);
        assert_eq!(first.now_or_never(), Some(CancelReason::Requested));
        assert_eq!(second.now_or_never(), Some(CancelReason::Requested));
    }

    #[test]
    fn a_dropped_wait_leaves_nothing_behind() {
        let cancellation = Cancellation::new();
        let mut wait = cancellation.cancelled();
        assert!((&mut wait).now_or_never().is_none());
        drop(wait);
        assert!(cancellation.0.waiting.lock().unwrap().wakers.is_empty());
    }
}

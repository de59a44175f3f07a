//! Live events, for whoever subscribes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use flowcore::ExecutionEvent;
use tokio::sync::{Notify, broadcast};

use crate::metrics::BusMetrics;

/// Sends events to subscribers, over a bounded broadcast channel.
///
/// Sending never waits. A subscriber that is too slow loses the oldest events and is told how many.
#[derive(Debug, Clone)]
pub struct EventBus {
    sender: broadcast::Sender<ExecutionEvent>,
    state: Arc<State>,
}

/// What a bus and its subscriptions share.
#[derive(Debug, Default)]
struct State {
    subscribers: AtomicUsize,
    /// Nothing more will be published.
    closed: AtomicBool,
    closing: Notify,
}

impl EventBus {
    /// How many events a subscriber may be behind, unless said otherwise.
    ///
    /// Enough for a burst of a few thousand nodes, and about a megabyte.
    pub const DEFAULT_CAPACITY: usize = 4096;

    /// A bus whose subscribers may be this many events behind (rounded up to a power of two).
    pub fn new(capacity: usize) -> Self {
        let (sender, _) = broadcast::channel(capacity.max(1));
        Self { sender, state: Arc::default() }
    }

    /// Subscribes to all events from now on.
    pub fn subscribe(&self) -> Subscription {
        self.state.subscribers.fetch_add(1, Ordering::SeqCst);
        Subscription {
            receiver: self.sender.subscribe(),
            state: self.state.clone(),
            only: None,
            ended: false,
        }
    }

    /// Whether somebody listens. Events are not even made when nobody does.
    pub fn has_subscribers(&self) -> bool {
        self.state.subscribers.load(Ordering::Relaxed) > 0
    }

    pub(crate) fn metrics(&self) -> BusMetrics {
        let subscribers = self.state.subscribers.load(Ordering::Relaxed);
        // What nobody listens to is nobody's lag.
        let lag = if subscribers > 0 { self.sender.len() } else { 0 };
        BusMetrics { subscribers, lag }
    }

    /// Nothing more will be published: subscriptions end after what is there.
    ///
    /// A flag beside the channel, because a last message could push the last event out of it.
    pub(crate) fn close(&self) {
        self.state.closed.store(true, Ordering::SeqCst);
        self.state.closing.notify_waiters();
    }

    pub(crate) fn publish(&self, event: ExecutionEvent) {
        // An error only means that nobody listens.
        let _ = self.sender.send(event);
    }
}

/// What a subscriber gets.
#[derive(Debug, Clone)]
pub enum Received {
    /// The next event.
    Event(ExecutionEvent),
    /// The subscriber was too slow: this many events were dropped. It goes on with the oldest one
    /// that is still there.
    Lagged(u64),
}

/// A subscription to live events.
#[derive(Debug)]
pub struct Subscription {
    receiver: broadcast::Receiver<ExecutionEvent>,
    state: Arc<State>,
    /// Ends after the last event of this execution.
    only: Option<flowcore::ExecutionId>,
    ended: bool,
}

impl Subscription {
    /// The subscription ends after the last event of one execution.
    pub(crate) fn until_end_of(mut self, execution_id: flowcore::ExecutionId) -> Self {
        self.only = Some(execution_id);
        self
    }

    /// The next event, in order; `None` when there will be no more. Cancel safe: no event is lost
    /// when the future is dropped.
    pub async fn next(&mut self) -> Option<Received> {
        if self.ended {
            return None;
        }
        let state = self.state.clone();
        let closing = state.closing.notified();
        tokio::pin!(closing);
        // From here on a closing is noticed, so the flag is asked after it.
        closing.as_mut().enable();
        if state.closed.load(Ordering::SeqCst) {
            return self.try_next();
        }
        tokio::select! {
            biased;
            received = self.receiver.recv() => match received {
                Ok(event) => Some(self.note(event)),
                Err(broadcast::error::RecvError::Lagged(count)) => Some(Received::Lagged(count)),
                Err(broadcast::error::RecvError::Closed) => None,
            },
            () = closing => self.try_next(),
        }
    }

    fn note(&mut self, event: ExecutionEvent) -> Received {
        self.ended = self.only == Some(event.execution_id) && event.is_last();
        Received::Event(event)
    }

    /// The next event, or `None` when there is none yet.
    pub fn try_next(&mut self) -> Option<Received> {
        match self.receiver.try_recv() {
            Ok(event) => Some(self.note(event)),
            Err(broadcast::error::TryRecvError::Lagged(count)) => Some(Received::Lagged(count)),
            Err(broadcast::error::TryRecvError::Empty | broadcast::error::TryRecvError::Closed) => {
                None
            }
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.state.subscribers.fetch_sub(1, Ordering::SeqCst);
    }
}

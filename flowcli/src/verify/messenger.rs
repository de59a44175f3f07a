//! Signals, each at its time.

use std::collections::VecDeque;
use std::pin::Pin;

use flowruntime::ExecutionHandle;
use flowruntime::store::{MemoryStore, Store};
use flowruntime::testing::crash::Sent;
use flowruntime::testing::{Hold, VirtualClock};

type Reached = Pin<Box<dyn Future<Output = Hold> + Send>>;

/// How many turns everybody else gets to take a signal up: it takes a few, and one that nobody takes
/// up must not stop time.
const TURNS: usize = 1_000;

/// Brings signals, in order.
pub(crate) struct Messenger<'a> {
    due: VecDeque<(&'a Sent, Reached)>,
}

impl<'a> Messenger<'a> {
    /// Takes their places in time at once.
    pub(crate) fn new(clock: &VirtualClock, signals: &'a [Sent]) -> Self {
        let due = |signal: &'a Sent| {
            let reached: Reached = Box::pin(clock.reach(signal.at));
            (signal, reached)
        };
        Self { due: signals.iter().map(due).collect() }
    }

    /// Sends all of them. Stops at one for which it is too late.
    pub(crate) async fn deliver(&mut self, execution: &ExecutionHandle, store: &MemoryStore) {
        while let Some((signal, reached)) = self.due.front_mut() {
            let hold = reached.await;
            let payload = signal.payload.clone();
            let sent = execution.signal_to(&signal.name, signal.key.as_deref(), payload).await;
            if sent.is_err() {
                return;
            }
            self.due.pop_front();
            // Time stands still until it is taken up.
            for _ in 0..TURNS {
                if execution.is_ended() || !is_waiting(store, execution).await {
                    break;
                }
                tokio::task::yield_now().await;
            }
            drop(hold);
        }
    }
}

async fn is_waiting(store: &MemoryStore, execution: &ExecutionHandle) -> bool {
    store.messages(execution.id()).await.is_ok_and(|messages| !messages.is_empty())
}

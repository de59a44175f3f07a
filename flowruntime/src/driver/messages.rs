//! What running nodes tell those who watch, on its way to the event bus.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flowcore::{Clock, EventSink, ExecutionId, Instance, NodeEvent, NodeMessage};
use tokio::sync::Notify;

use super::Driver;

/// Messages that may wait for the driver; with more, the oldest are dropped and counted. What was
/// said last tells why an attempt failed.
const CAPACITY: usize = 1024;

/// The messages of one execution.
#[derive(Default)]
pub(super) struct Messages {
    queue: Option<Arc<Queue>>,
}

/// Messages on their way to the driver.
#[derive(Default)]
struct Queue {
    waiting: Mutex<VecDeque<Said>>,
    arrived: Notify,
    dropped: AtomicU64,
}

impl Queue {
    fn push(&self, said: Said) {
        let mut waiting = self.lock();
        let oldest = if waiting.len() == CAPACITY { waiting.pop_front() } else { None };
        let is_first = waiting.is_empty();
        waiting.push_back(said);
        drop(waiting);
        if is_first {
            self.arrived.notify_one();
        }
        if oldest.is_some() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Said>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A message, and whether its attempt still runs.
struct Said {
    open: Arc<AtomicBool>,
    message: NodeMessage,
}

/// What one attempt says, until it has ended.
pub(super) struct Voice(Arc<Sink>);

impl Voice {
    /// Where the attempt sends its messages.
    pub(super) fn sink(&self) -> Arc<dyn EventSink> {
        self.0.clone()
    }
}

impl Driver {
    /// The voice of an attempt that is to start; `None` when nobody listens.
    pub(super) fn voice(&mut self, instance: Instance, attempt: u32) -> Option<Voice> {
        let clock = self.is_watched().then(|| self.shared.shared_clock.clone())?;
        Some(self.messages.voice(instance, attempt, clock))
    }

    /// The attempt has ended: what it said is heard, what it still says is not.
    pub(super) fn silence(&mut self, voice: Option<Voice>) {
        if let Some(Voice(sink)) = voice {
            self.hear_messages();
            sink.open.store(false, Ordering::Relaxed);
        }
    }
}

impl Messages {
    fn voice(&mut self, instance: Instance, attempt: u32, clock: Arc<dyn Clock>) -> Voice {
        let queue = self.queue.get_or_insert_default();
        Voice(Arc::new(Sink {
            open: Arc::new(AtomicBool::new(true)),
            queue: queue.clone(),
            instance,
            attempt,
            number: AtomicU64::new(0),
            clock,
        }))
    }

    /// Whether there are messages to take.
    pub(super) fn is_waiting(&self) -> bool {
        self.queue.as_ref().is_some_and(|queue| !queue.lock().is_empty())
    }

    /// The messages so far, as coming after this event. Those of attempts that have ended are left
    /// out.
    ///
    /// Nodes on other threads may go on talking: only what can have been there from the start is
    /// taken.
    pub(super) fn take(&mut self, after_seq: u64) -> Vec<NodeMessage> {
        let waiting = self.queue.as_ref().map(|queue| std::mem::take(&mut *queue.lock()));
        let waiting = waiting.into_iter().flatten();
        // Only the driver, which runs here, closes a voice.
        let open = waiting.filter(|said| said.open.load(Ordering::Relaxed));
        open.map(|said| NodeMessage { after_seq, ..said.message }).collect()
    }

    /// Ready when there is a message to take. Cancel safe.
    pub(super) async fn arrived(&self) {
        let Some(queue) = &self.queue else { return std::future::pending().await };
        while queue.lock().is_empty() {
            queue.arrived.notified().await;
        }
    }

    /// Logs how many messages were dropped since the last time; those who watch see it by the
    /// numbers of the others.
    pub(super) fn report_drops(&self, execution_id: ExecutionId) {
        let Some(queue) = &self.queue else { return };
        let dropped = queue.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            tracing::debug!(%execution_id, dropped, "messages of nodes were dropped");
        }
    }
}

struct Sink {
    open: Arc<AtomicBool>,
    queue: Arc<Queue>,
    instance: Instance,
    attempt: u32,
    number: AtomicU64,
    clock: Arc<dyn Clock>,
}

impl EventSink for Sink {
    fn emit(&self, event: NodeEvent) {
        if !self.open.load(Ordering::Relaxed) {
            return;
        }
        let message = NodeMessage {
            instance: self.instance,
            attempt: self.attempt,
            number: self.number.fetch_add(1, Ordering::Relaxed) + 1,
            after_seq: 0,
            at: self.clock.now(),
            event,
        };
        self.queue.push(Said { open: self.open.clone(), message });
    }
}

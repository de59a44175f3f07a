//! What running nodes tell those who watch, on its way to the event bus.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use flowcore::{Clock, EventSink, Instance, NodeEvent, NodeMessage};
use tokio::sync::mpsc;

use super::Driver;

/// Messages that may wait for the driver; more are dropped and counted.
const CAPACITY: usize = 1024;

/// The messages of one execution.
#[derive(Default)]
pub(super) struct Messages {
    channel: Option<Channel>,
    /// Was received, and is the first to be taken.
    received: Option<Said>,
}

struct Channel {
    sender: mpsc::Sender<Said>,
    receiver: mpsc::Receiver<Said>,
    dropped: Arc<AtomicU64>,
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
        let channel = self.channel.get_or_insert_with(|| {
            let (sender, receiver) = mpsc::channel(CAPACITY);
            Channel { sender, receiver, dropped: Arc::default() }
        });
        Voice(Arc::new(Sink {
            open: Arc::new(AtomicBool::new(true)),
            sender: channel.sender.clone(),
            dropped: channel.dropped.clone(),
            instance,
            attempt,
            number: AtomicU64::new(0),
            clock,
        }))
    }

    /// Whether there are messages to take.
    pub(super) fn is_waiting(&self) -> bool {
        self.received.is_some()
            || self.channel.as_ref().is_some_and(|channel| !channel.receiver.is_empty())
    }

    /// The messages so far, as coming after this event. Those of attempts that have ended are left
    /// out.
    ///
    /// Nodes on other threads may go on talking: only what can have been there from the start is
    /// taken.
    pub(super) fn take(&mut self, after_seq: u64) -> Vec<NodeMessage> {
        let channel = self.channel.as_mut();
        let waiting = channel.into_iter().flat_map(|channel| {
            std::iter::from_fn(|| channel.receiver.try_recv().ok()).take(CAPACITY)
        });
        // Only the driver, which runs here, closes a voice.
        let is_open = |said: &Said| said.open.load(Ordering::Relaxed);
        let heard = self.received.take().into_iter().chain(waiting).filter(is_open);
        heard.map(|said| NodeMessage { after_seq, ..said.message }).collect()
    }

    /// Ready when there is a message to take. Cancel safe.
    pub(super) async fn arrived(&mut self) {
        match &mut self.channel {
            Some(channel) => self.received = channel.receiver.recv().await,
            None => std::future::pending().await,
        }
    }

    /// Logs how many messages were dropped since the last time.
    pub(super) fn report_drops(&self) {
        let Some(channel) = &self.channel else { return };
        let dropped = channel.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            tracing::warn!(dropped, "messages of nodes were dropped");
        }
    }
}

struct Sink {
    open: Arc<AtomicBool>,
    sender: mpsc::Sender<Said>,
    dropped: Arc<AtomicU64>,
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
        let said = Said { open: self.open.clone(), message };
        if let Err(mpsc::error::TrySendError::Full(_)) = self.sender.try_send(said) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

//! What running nodes tell those who watch, on its way to the event bus.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flowcore::{Clock, EventSink, Instance, NodeEvent, NodeMessage};
use tokio::sync::mpsc;

/// Messages that may wait for the driver; more are dropped and counted.
const CAPACITY: usize = 1024;

/// The messages of one execution.
#[derive(Default)]
pub(super) struct Messages {
    channel: Option<Channel>,
    waiting: Vec<NodeMessage>,
}

struct Channel {
    sender: mpsc::Sender<NodeMessage>,
    receiver: mpsc::Receiver<NodeMessage>,
    dropped: Arc<AtomicU64>,
}

impl Messages {
    /// Where the messages of one attempt go.
    pub(super) fn sink(
        &mut self,
        instance: Instance,
        attempt: u32,
        clock: Arc<dyn Clock>,
    ) -> Arc<dyn EventSink> {
        let channel = self.channel.get_or_insert_with(|| {
            let (sender, receiver) = mpsc::channel(CAPACITY);
            Channel { sender, receiver, dropped: Arc::default() }
        });
        Arc::new(Sink {
            sender: channel.sender.clone(),
            dropped: channel.dropped.clone(),
            instance,
            attempt,
            number: AtomicU64::new(0),
            clock,
        })
    }

    /// Takes what nodes have said by now: it comes after this event.
    pub(super) fn collect(&mut self, after_seq: u64) {
        let Some(channel) = &mut self.channel else { return };
        while let Ok(message) = channel.receiver.try_recv() {
            self.waiting.push(NodeMessage { after_seq, ..message });
        }
    }

    /// Whether there are no messages to publish.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The messages to publish, in order.
    pub(super) fn take(&mut self) -> Vec<NodeMessage> {
        std::mem::take(&mut self.waiting)
    }

    /// Ready when there is a message to publish, which comes after this event. Cancel safe.
    pub(super) async fn arrived(&mut self, after_seq: u64) {
        match &mut self.channel {
            Some(channel) => {
                if let Some(message) = channel.receiver.recv().await {
                    self.waiting.push(NodeMessage { after_seq, ..message });
                }
            }
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

    /// Takes no more messages: an attempt that was left behind must not speak after the end.
    pub(super) fn close(&mut self) {
        self.channel = None;
        self.waiting.clear();
    }
}

struct Sink {
    sender: mpsc::Sender<NodeMessage>,
    dropped: Arc<AtomicU64>,
    instance: Instance,
    attempt: u32,
    number: AtomicU64,
    clock: Arc<dyn Clock>,
}

impl EventSink for Sink {
    fn emit(&self, event: NodeEvent) {
        let message = NodeMessage {
            instance: self.instance,
            attempt: self.attempt,
            number: self.number.fetch_add(1, Ordering::Relaxed) + 1,
            after_seq: 0,
            at: self.clock.now(),
            event,
        };
        if let Err(mpsc::error::TrySendError::Full(_)) = self.sender.try_send(message) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

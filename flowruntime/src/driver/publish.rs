//! Events on their way out: to the journal, then to those who listen.

use flowcore::{ExecutionEvent, NodeMessage, Record};

use super::{DriveError, Driver};

impl Driver {
    /// Whether somebody wants events; otherwise they are not even made.
    pub(super) fn is_watched(&self) -> bool {
        self.journal.is_enabled()
            || self.shared.bus.has_subscribers()
            || self.control.used_bus().is_some_and(crate::EventBus::has_subscribers)
    }

    /// Hands the turn's events to the journal and publishes them; with `after`, waits until
    /// everything up to that event is durable. Publishing waits for durability too.
    pub(super) async fn flush(&mut self, after: u64) -> Result<(), DriveError> {
        self.messages.report_drops();
        self.messages.collect(self.machine.seq());
        if self.turn.events.is_empty() && self.messages.is_empty() {
            if after > 0 && self.journal.is_enabled() {
                self.journal.durable(after).await?;
            }
            return Ok(());
        }
        let last = self.turn.events.last().map_or(0, |record| record.seq);
        let events = self.take_events();
        if self.journal.is_enabled() {
            self.journal.append(&events).await?;
            self.journal.durable(last.max(after)).await?;
        }
        self.publish(events);
        Ok(())
    }

    /// The facts of the turn, with every message after the fact that it followed. Nothing comes
    /// after the last event.
    fn take_events(&mut self) -> Vec<ExecutionEvent> {
        let plan = self.machine.plan().clone();
        let id = self.control.execution_id;
        let fact = |record: Record| ExecutionEvent::fact(id, plan.clone(), record);
        let message = |message: NodeMessage| ExecutionEvent::message(id, plan.clone(), message);
        let mut messages = self.messages.take().into_iter().peekable();
        let mut events = Vec::with_capacity(self.turn.events.len() + messages.len());
        for record in self.turn.events.drain(..) {
            while let Some(earlier) = messages.next_if(|next| next.after_seq < record.seq) {
                events.push(message(earlier));
            }
            events.push(fact(record));
        }
        if !events.last().is_some_and(ExecutionEvent::is_last) {
            events.extend(messages.map(message));
        }
        events
    }

    fn publish(&self, events: Vec<ExecutionEvent>) {
        let own = self.control.used_bus().filter(|bus| bus.has_subscribers());
        let common = Some(&self.shared.bus).filter(|bus| bus.has_subscribers());
        for event in events {
            match (own, common) {
                (Some(own), Some(common)) => {
                    own.publish(event.clone());
                    common.publish(event);
                }
                (Some(bus), None) | (None, Some(bus)) => bus.publish(event),
                (None, None) => return,
            }
        }
    }
}

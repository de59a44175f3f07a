//! Events on their way out: to the journal, then to those who listen.

use flowcore::ExecutionEvent;

use super::{DriveError, Driver};

impl Driver {
    /// Whether somebody wants events; otherwise they are not even made.
    #[inline]
    pub(super) fn is_watched(&self) -> bool {
        self.has_journal
            || self.shared.bus.has_subscribers()
            || self.control.used_bus().is_some_and(crate::EventBus::has_subscribers)
    }

    /// What nodes have said by now comes before whatever happens next.
    pub(super) fn hear_messages(&mut self) {
        if !self.messages.is_waiting() {
            return;
        }
        let (execution_id, machine) = (self.control.execution_id, &self.machine);
        let messages = self.messages.take(machine.seq()).into_iter();
        self.outbox.extend(messages.map(|message| {
            let address = machine.inner_address(message.instance);
            ExecutionEvent::message(execution_id, machine.plan().clone(), message)
                .at_address(address)
        }));
    }

    /// Whether a flush has anything to do.
    pub(super) fn is_behind(&self) -> bool {
        self.has_journal || !self.outbox.is_empty() || self.messages.is_waiting()
    }

    /// Hands the events so far to the journal and publishes them; with `after`, waits until
    /// everything up to that event is durable. Publishing waits for durability too.
    pub(super) async fn flush(&mut self, after: u64) -> Result<(), DriveError> {
        self.messages.report_drops();
        self.hear_messages();
        if self.outbox.is_empty() {
            if after > 0 && self.has_journal {
                self.let_others_go_on();
                self.journal.durable(after).await?;
            }
            return Ok(());
        }
        let events = std::mem::take(&mut self.outbox);
        if self.has_journal {
            self.let_others_go_on();
            let last = events.iter().rev().find_map(ExecutionEvent::seq).unwrap_or(0);
            self.journal.append(&events).await?;
            self.journal.durable(last.max(after)).await?;
        }
        self.publish(events);
        Ok(())
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

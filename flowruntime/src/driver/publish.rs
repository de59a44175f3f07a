//! Events on their way out: to where they are kept, then, once they are safe, to those who listen.

use flowcore::{EventBody, ExecutionEvent};

use super::{DriveError, Driver};
use crate::store::Progress;

impl Driver {
    /// Whether somebody wants events; otherwise they are not even made.
    #[inline]
    pub(super) fn is_watched(&self) -> bool {
        self.ledger.is_enabled()
            || self.control.is_watched()
            || self.observer.is_some()
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

    /// Whether there is something to hand on.
    #[inline]
    pub(super) fn is_behind(&self) -> bool {
        !self.outbox.is_empty() || self.messages.is_waiting() || !self.taken.is_empty()
    }

    /// Hands the events so far to where they are kept, and publishes what is safe.
    pub(super) async fn hand_on(&mut self) -> Result<(), DriveError> {
        self.messages.report_drops(self.control.execution_id);
        self.hear_messages();
        if self.outbox.is_empty() && self.taken.is_empty() {
            return Ok(());
        }
        let events = std::mem::take(&mut self.outbox);
        self.held_bytes = 0;
        if self.ledger.is_enabled() {
            self.let_others_go_on();
            let taken = std::mem::take(&mut self.taken);
            let progress = self.progress(false);
            self.control.tell_watch(|watch| watch.note(&progress));
            self.ledger.take(&events, taken, progress).await?;
        } else {
            self.control.tell_watch(|watch| watch.note(&self.progress(false)));
        }
        self.unpublished.extend(events);
        self.publish().await
    }

    /// How the execution stands, for those who look at it from outside.
    pub(super) fn progress(&self, release: bool) -> Progress {
        Progress {
            status: self.machine.status(),
            started_at: (self.machine.seq() > 0).then(|| self.machine.started_at()),
            at: self.now(),
            wake_at: self.timers.next(),
            release,
            error: self.machine.error().cloned(),
        }
    }

    /// Publishes what is safe.
    pub(super) async fn publish(&mut self) -> Result<(), DriveError> {
        let safe_seq = self.ledger.safe_seq();
        let is_safe = |event: &ExecutionEvent| match &event.body {
            EventBody::Fact(record) => record.seq <= safe_seq,
            EventBody::Message(message) => message.after_seq <= safe_seq,
        };
        let safe = self.unpublished.iter().take_while(|event| is_safe(event)).count();
        if safe == 0 {
            return Ok(());
        }
        let events: Vec<ExecutionEvent> = self.unpublished.drain(..safe).collect();
        self.control.tell_watch(|watch| watch.apply(&events));
        if let Some(observer) = &mut self.observer {
            observer.hear(&events);
        }
        if let Some(follower) = &self.follower {
            follower.append(&events).await?;
        }
        let own = self.control.used_bus().filter(|bus| bus.has_subscribers());
        let common = Some(&self.shared.bus).filter(|bus| bus.has_subscribers());
        for event in events {
            match (own, common) {
                (Some(own), Some(common)) => {
                    own.publish(event.clone());
                    common.publish(event);
                }
                (Some(bus), None) | (None, Some(bus)) => bus.publish(event),
                (None, None) => break,
            }
        }
        Ok(())
    }
}

//! Bugs in Flow: a fact that the machine cannot go on from, and a driver that panicked.
//!
//! Either way the machine is useless, and what is kept is not: every event that was handed on was
//! applied. So an execution in a store is left to it, paused with a dump, or to be taken up once more;
//! any other has failed.

use std::any::Any;
use std::fmt::Write as _;
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use flowcore::machine::{FactSummary, Impossible, Recorded};
use flowcore::{Event, ExecutionEvent, ExecutionStatus, PauseReason, Record, Timestamp};
use futures_util::FutureExt;

use super::ledger::Ledger;
use super::life::Left;
use super::{DriveError, Driver};
use crate::durable::StoreJournal;
use crate::executor::panic_message;
use crate::handle::WaitError;
use crate::journal::JournalError;
use crate::store::{MessageId, Progress};

/// How long a dump may be, in bytes: enough for what most executions have open.
const MAX_DUMP: usize = 64 << 10;

/// How often the driver of an execution may panic in one process before the execution is paused. As
/// with crashes of a process, a third time is a pattern.
const MAX_PANICS: u32 = 3;

/// How long an execution stays in the store after its driver panicked; twice as long the next time.
const AFTER_PANIC: Duration = Duration::from_secs(1);

/// What is known of a bug.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(super) struct Bug {
    message: String,
    /// The reason of the pause that follows.
    reason: PauseReason,
    dump: String,
}

impl Bug {
    /// The driver panicked. Its state may be that of any moment, so nothing is said of it.
    pub(super) fn panic(panic: &(dyn Any + Send)) -> Self {
        let message = format!("the driver panicked: {}", panic_message(panic));
        let dump = format!("error: {message}");
        Self { message, reason: PauseReason::CrashLoop, dump }
    }

    fn is_panic(&self) -> bool {
        self.reason == PauseReason::CrashLoop
    }
}

impl Driver {
    /// The machine could not go on from a fact.
    #[cold]
    pub(super) fn broken(&mut self, error: &Impossible, fact: FactSummary) -> DriveError {
        let mut dump = format!("fact: {}", fact.kind);
        if let Some(instance) = fact.instance {
            let _ = write!(dump, " of node `{}`", self.machine.address(instance));
        }
        let _ = writeln!(dump, "\nerror: {error}");
        let (execution_id, plan) = (self.control.execution_id, self.machine.plan().clone());
        // The last of them is what did not fit. None of them is kept elsewhere.
        for Recorded { record, address } in self.turn.events.drain(..) {
            let event = ExecutionEvent::fact(execution_id, plan.clone(), record);
            let event = serde_json::to_string(&event.at_address(address));
            let _ = writeln!(dump, "event: {}", event.unwrap_or_else(|error| error.to_string()));
        }
        let _ = write!(dump, "state: {:#?}", self.machine);
        shorten(&mut dump);
        let message = format!("the machine cannot go on from the fact {}: {error}", fact.kind);
        DriveError::Bug(Box::new(Bug { message, reason: PauseReason::ImpossibleFact, dump }))
    }

    /// Stops what runs, and leaves the execution to its store; without one, it has failed.
    pub(super) async fn leave_broken(&mut self, bug: Bug) -> Result<Left, WaitError> {
        let (id, named) = (self.control.execution_id, self.named());
        let trace_id = named.trace_id.map(tracing::field::display);
        tracing::error!(execution_id = %id, trace_id, error = %bug, dump = bug.dump, "a bug in Flow");
        let ledger = std::mem::replace(&mut self.ledger, Ledger::Nowhere);
        let events = std::mem::take(&mut self.outbox);
        // Whatever state it is in: the rest has to happen.
        if AssertUnwindSafe(self.stop_all()).catch_unwind().await.is_err() {
            tracing::error!(execution_id = %id, trace_id, "what ran was not stopped in order");
        }
        let (Ledger::Store(mut journal), Some(durable)) = (ledger, self.shared.durable.clone())
        else {
            let is_panic = bug.is_panic();
            let failed = WaitError::Bug { message: bug.message };
            return Err(if is_panic { WaitError::Lost } else { failed });
        };
        let panics = durable.count_panic(id);
        let is_paused = !bug.is_panic() || panics >= MAX_PANICS;
        let events = self.last_events(events, journal.taken_seq(), is_paused.then_some(bug));
        let progress = self.last_progress(&events, journal.taken_seq(), panics);
        if progress.status == ExecutionStatus::Paused {
            durable.forget_panics(id);
        }
        let taken = std::mem::take(&mut self.taken);
        if let Err(error) = give_back(&mut journal, &events, taken, progress).await {
            tracing::error!(execution_id = %id, trace_id, %error, "the execution is not let go");
            return if error.is_fenced() {
                Ok(Left::LetGo)
            } else {
                Err(WaitError::Journal(error))
            };
        }
        self.unpublished.extend(events);
        if let Err(error) = self.publish().await {
            tracing::error!(execution_id = %id, trace_id, %error, "those who follow it did not hear all");
        }
        Ok(Left::LetGo)
    }

    /// What is still to be kept: events that were not handed on, and the pause.
    fn last_events(
        &self,
        mut events: Vec<ExecutionEvent>,
        taken_seq: u64,
        pause: Option<Bug>,
    ) -> Vec<ExecutionEvent> {
        let first = events.iter().find_map(ExecutionEvent::seq);
        let fits = first.is_none_or(|first| first == taken_seq + 1);
        // A panic may have come when those before them were handed on. And an end has other progress:
        // whoever goes on comes to it again.
        if !fits || events.iter().any(ExecutionEvent::is_last) {
            events.clear();
        }
        let last_seq = last_seq(&events, taken_seq);
        // What has not started cannot be paused.
        if let Some(Bug { reason, dump, .. }) = pause.filter(|_| last_seq > 0) {
            let event = Event::Paused { reason, by: None, node: None, dump: Some(dump.into()) };
            let record = Record { seq: last_seq + 1, at: self.now(), event };
            let (id, plan) = (self.control.execution_id, self.machine.plan().clone());
            events.push(ExecutionEvent::fact(id, plan, record));
        }
        events
    }

    /// How the execution stands after them.
    fn last_progress(&self, events: &[ExecutionEvent], taken_seq: u64, panics: u32) -> Progress {
        let (now, last_seq) = (self.now(), last_seq(events, taken_seq));
        let is_pause = |event: &ExecutionEvent| matches!(event.event(), Some(Event::Paused { .. }));
        let (status, wake_at) = if events.last().is_some_and(is_pause) {
            // A time that has come may be what it cannot go on from.
            (ExecutionStatus::Paused, self.timers.next().filter(|at| *at > now))
        } else {
            let wait = AFTER_PANIC * 2_u32.saturating_pow(panics.clamp(1, 6) - 1);
            let has_started = last_seq > 0;
            let status =
                if has_started { ExecutionStatus::Running } else { ExecutionStatus::Queued };
            (status, Some(now.after(wait)))
        };
        let started_at: Option<Timestamp> = (last_seq > 0).then(|| self.machine.started_at());
        Progress { status, started_at, at: now, wake_at, release: true, error: None }
    }
}

fn last_seq(events: &[ExecutionEvent], taken_seq: u64) -> u64 {
    events.iter().rev().find_map(ExecutionEvent::seq).unwrap_or(taken_seq)
}

/// Writes what is still to be kept, and waits until it is.
async fn give_back(
    journal: &mut StoreJournal,
    events: &[ExecutionEvent],
    taken: Vec<MessageId>,
    progress: Progress,
) -> Result<(), JournalError> {
    journal.append(events, taken, progress)?;
    while !journal.is_confirmed() {
        poll_fn(|cx| journal.poll_safer(cx)).await?;
    }
    Ok(())
}

/// The beginning says most.
fn shorten(dump: &mut String) {
    if dump.len() > MAX_DUMP {
        let end = (0..=MAX_DUMP).rev().find(|end| dump.is_char_boundary(*end)).unwrap_or(0);
        dump.truncate(end);
        dump.push('…');
    }
}

#[cfg(test)]
mod tests;

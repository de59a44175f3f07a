//! Leaving an execution to the store: while it only waits, or because somebody else is to go on.

use std::future::poll_fn;
use std::time::Duration;

use flowcore::{ExecutionStatus, Timestamp};

use super::ledger::Ledger;
use super::{Begin, DriveError, Driver};
use crate::store::Progress;

/// An execution that goes on sooner than this stays where it is: letting it go costs a flush, and
/// taking it up again a few reads.
const SHORT_WAIT: Duration = Duration::from_secs(1);

impl Driver {
    /// Whether nothing happens until a time or a message, so that a row in the store is enough.
    pub(super) fn has_only_to_wait(&self) -> bool {
        let Ledger::Store(journal) = &self.ledger else { return false };
        // One with a place among the executions of its workflow keeps it while it waits.
        self.waits()
            && self.place.is_none()
            && self.attempts.is_empty()
            && self.permit_request.is_none()
            && self.gate.is_empty()
            && journal.is_confirmed()
            && !self.control.has_commands()
            && self.timers.next().is_none_or(|next| next.since(self.now()) >= SHORT_WAIT)
            // Whoever takes executions up looks by real time.
            && self.hold.is_none()
    }

    /// Lets the execution go: whoever claims it goes on when its time comes, or a message.
    pub(super) async fn let_go(&mut self) -> Result<(), DriveError> {
        self.instances.release(self.shared.grace, self.named()).await;
        self.release(self.timers.next()).await
    }

    /// Stops what runs, without the machine: for it, attempts are cut off as by a crash. Unless it only
    /// waits, the execution is due at once.
    pub(super) async fn hand_back(&mut self) -> Result<(), DriveError> {
        self.hand_on().await?;
        self.stop_all().await;
        let wake_at = if self.waits() { self.timers.next() } else { Some(self.now()) };
        self.release(wake_at).await
    }

    /// Whether it was handed back before it began: somebody else begins with it.
    pub(super) fn is_not_begun_here(&self, begin: &Begin) -> bool {
        let is_kept = matches!(self.ledger, Ledger::Store(_));
        is_kept && matches!(begin, Begin::Start(..)) && self.control.is_handed_back()
    }

    /// Whether nothing happens until a time or a message.
    fn waits(&self) -> bool {
        match self.machine.status() {
            ExecutionStatus::Waiting | ExecutionStatus::Paused => true,
            ExecutionStatus::Queued
            | ExecutionStatus::Running
            | ExecutionStatus::Succeeded
            | ExecutionStatus::Failed
            | ExecutionStatus::Cancelled
            | ExecutionStatus::TimedOut => false,
        }
    }

    async fn release(&mut self, wake_at: Option<Timestamp>) -> Result<(), DriveError> {
        let taken = std::mem::take(&mut self.taken);
        let progress = Progress { wake_at, ..self.progress(true) };
        self.ledger.take(&[], taken, progress).await?;
        while !self.ledger.is_confirmed() {
            poll_fn(|cx| self.ledger.poll_safer(cx)).await?;
        }
        self.publish().await
    }
}

//! How long the history of an execution may become. One that reaches its limit ends while its end
//! still fits: what runs is stopped, what cleans up goes on, and then that is stopped, too.

use super::action::Turn;
use super::apply::Impossible;
use super::state::Machine;
use crate::event::{Event, ExecutionError};
use crate::node::CancelReason;
use crate::time::Timestamp;

/// How long the history of an execution may become; `None` is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HistoryLimits {
    /// The most events.
    pub max_events: Option<u64>,
    /// The most bytes of events, and of values that are kept apart from them, each counted once.
    pub max_bytes: Option<u64>,
}

/// Which part of a limit is kept for what cleans up: a sixteenth. Scopes that are open, attempts that
/// run and nodes that are to be undone have theirs besides.
const FOR_CLEANUP: u64 = 16;

/// Below this part of its limit no history can be full: of what an event leaves behind, the end needs
/// at most four more.
const LEAST: u64 = 8;

/// How many events it takes to undo a node: its scope opens and closes, its attempt starts and ends.
const EVENTS_PER_UNDO: u64 = 4;

/// The events of the end itself: it is asked for, twice, cleaning up begins, and all is over; and of a
/// control node that has begun and has no scope yet, and of a crash.
const EVENTS_OF_END: u64 = 6;

impl Machine {
    /// Whether the history may be full. Only a comparison, because it is asked for each event.
    #[inline]
    pub(super) fn nears_limit(&self) -> bool {
        self.options.history.max_events.is_some_and(|max| self.seq >= max / LEAST)
    }

    /// Whether the size of the history, in bytes, is something that the machine wants to be told by
    /// [`super::Fact::HistoryGrew`].
    pub fn heeds_size(&self, bytes: u64) -> bool {
        let max = self.options.history.max_bytes;
        self.end.is_none() && max.is_some_and(|max| bytes >= before_cleanup(max))
    }

    /// Ends the execution, or what cleans up, if no more events fit than the end needs.
    #[cold]
    pub(super) fn keep_within_events(
        &mut self,
        now: Timestamp,
        turn: &mut Turn,
    ) -> Result<(), Impossible> {
        let Some(max) = self.options.history.max_events else { return Ok(()) };
        let reason = CancelReason::TooManyEvents;
        let to_end = self.events_to_end();
        let to_undo = EVENTS_PER_UNDO.saturating_mul(self.undo.len() as u64);
        if self.seq.saturating_add(to_end) >= max {
            self.end_full(now, reason, true, turn)
        } else if self.seq.saturating_add(to_end).saturating_add(to_undo) >= before_cleanup(max) {
            self.end_full(now, reason, false, turn)
        } else {
            Ok(())
        }
    }

    /// The history has grown to so many bytes. What is paused is told again when it goes on.
    pub(super) fn history_grew(
        &mut self,
        now: Timestamp,
        bytes: u64,
        turn: &mut Turn,
    ) -> Result<(), Impossible> {
        let Some(max) = self.options.history.max_bytes else { return Ok(()) };
        if self.paused.is_some() || !self.heeds_size(bytes) {
            self.stale += 1;
            return Ok(());
        }
        self.end_full(now, CancelReason::HistoryTooLarge, bytes >= max, turn)
    }

    /// Ends what has not begun to end. What cleans up ends only when there is no room for it either.
    fn end_full(
        &mut self,
        now: Timestamp,
        reason: CancelReason,
        is_last: bool,
        turn: &mut Turn,
    ) -> Result<(), Impossible> {
        let event = || Event::CancelRequested { instance: None, reason, by: None };
        if self.end.is_some() || self.seq == 0 {
            return Ok(());
        }
        if self.deadline_runs() {
            self.cancel(now, event(), turn)?;
            self.clear_deadline(turn);
        }
        if is_last && self.may_abort_cleanup() {
            self.cancel(now, event(), turn)?;
        }
        Ok(())
    }

    /// How many events there will be at most if the execution ends now and nothing cleans up: each
    /// attempt is told to stop and ends, each scope closes and its control node ends.
    fn events_to_end(&self) -> u64 {
        let attempts = u64::from(self.running) + u64::from(self.called.is_some());
        let (scopes, waiting) = (self.scopes.open(), u64::from(self.waiting));
        2 * (attempts + scopes) + waiting + self.cut_off() + EVENTS_OF_END
    }

    /// How many nodes are to start again after a crash: each of them ends with an event.
    fn cut_off(&self) -> u64 {
        let ready = self.ready.iter().filter(|_| self.recovery.is_some());
        ready.take_while(|instance| self.node(**instance).starts_again()).count() as u64
    }

    /// Why an execution failed that ended for this reason, if its history was full.
    pub(super) fn history_error(&self, reason: CancelReason) -> Option<ExecutionError> {
        let limits = self.options.history;
        let (code, what, setting, max) = match reason {
            CancelReason::TooManyEvents => {
                ("history.too_many_events", "events", "max_events", limits.max_events)
            }
            CancelReason::HistoryTooLarge => {
                ("history.too_large", "bytes", "max_history_bytes", limits.max_bytes)
            }
            CancelReason::LostRace
            | CancelReason::SiblingFailed
            | CancelReason::Stopped
            | CancelReason::ScopeTimeout
            | CancelReason::AttemptTimeout
            | CancelReason::ExecutionTimeout
            | CancelReason::Superseded
            | CancelReason::Requested
            | CancelReason::Shutdown => return None,
        };
        // Another process, with another limit, may have found that it is full.
        let here = max.map(|max| format!(", {max} here")).unwrap_or_default();
        Some(ExecutionError {
            code: code.to_owned(),
            message: format!("the history of the execution has as many {what} as it may"),
            node: None,
            attempts: None,
            hint: Some(format!("the limit is the setting `{setting}`{here}")),
        })
    }
}

/// From where on a limit is kept for what cleans up.
fn before_cleanup(max: u64) -> u64 {
    max - max / FOR_CLEANUP
}

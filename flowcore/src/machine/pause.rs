//! Pausing: what happens is noted, and nothing follows from it until the execution is resumed.

use std::sync::Arc;

use super::action::Turn;
use super::apply::Impossible;
use super::state::Machine;
use crate::event::{Event, PauseReason};
use crate::time::Timestamp;

impl Machine {
    /// Why the execution is paused, if it is.
    pub fn paused(&self) -> Option<PauseReason> {
        self.paused
    }

    /// Starts nothing from now on.
    pub(super) fn pause(
        &mut self,
        now: Timestamp,
        reason: PauseReason,
        by: Option<Arc<str>>,
        turn: &mut Turn,
    ) -> Result<(), Impossible> {
        // Where only the end is left, and the driver was asked for it, nothing can be held back.
        let is_over = || self.end.is_some() || self.root_scope().is_done();
        if self.seq == 0 || self.paused.is_some() || is_over() {
            self.stale += 1;
            return Ok(());
        }
        self.emit(now, Event::Paused { reason, by, node: None, dump: None }, turn)
    }

    /// Goes on after a pause.
    pub(super) fn unpause(
        &mut self,
        now: Timestamp,
        by: Option<Arc<str>>,
        turn: &mut Turn,
    ) -> Result<(), Impossible> {
        if self.end.is_some() || self.paused.is_none() {
            self.stale += 1;
            return Ok(());
        }
        self.emit(now, Event::Resumed { by }, turn)?;
        self.find_due();
        Ok(())
    }

    /// Whether a cancel can do no more than to end the pause: the execution ends already, and what
    /// cleans up has not begun.
    pub(super) fn only_unpauses(&self) -> bool {
        self.paused.is_some() && !self.deadline_runs() && !self.may_abort_cleanup()
    }
}

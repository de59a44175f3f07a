//! Going on after a crash: what came of the attempts that were under way, and when to stop trying.

use std::cmp::Reverse;

use super::action::Turn;
use super::apply::Impossible;
use super::decide::Ended;
use super::state::{Machine, NodeState};
use super::status::{Change, Status};
use crate::event::{Event, FailureKind, Instance, PauseReason};
use crate::node::{Effect, NodeError};
use crate::time::Timestamp;

/// How many crashes in a row, with nothing kept in between, pause an execution.
///
/// One may be bad luck, and a second the same bad luck: a machine that is short of memory, a deploy
/// that goes wrong. A third time is a pattern, and every further one would take down whatever else
/// the process runs.
const MAX_CRASHES: u32 = 3;

/// The code of the error that stands at a node whose attempt was cut off by the end of its process.
const INTERRUPTED: &str = "node.interrupted";

/// What is known of crashes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Recovery {
    /// How many there were in a row.
    crashes: u32,
    /// Whether a result was kept since the last one.
    has_progressed: bool,
}

// Deciding.
impl Machine {
    /// Whether attempts were under way when the last event was written. After a fold nobody makes
    /// them: such an execution goes on with [`crate::machine::Fact::Recover`], others with
    /// [`Machine::resume`].
    pub fn has_attempts(&self) -> bool {
        self.running > 0 || self.called.is_some()
    }

    /// Goes on as a new owner after a fold: decides what came of the attempts that were under way,
    /// and then all that [`Machine::resume`] does.
    pub(super) fn recover(
        &mut self,
        now: Timestamp,
        fence: u64,
        turn: &mut Turn,
    ) -> Result<(), Impossible> {
        if self.seq == 0 {
            self.stale += 1;
            return Ok(());
        }
        if self.end.is_none() {
            let attempts = self.under_way();
            let interrupted = u32::try_from(attempts.len()).unwrap_or(u32::MAX);
            self.emit(now, Event::Recovered { fence, interrupted }, turn)?;
            for instance in attempts {
                self.interrupt(now, instance, turn)?;
            }
            self.pause_in_crash_loop(now, turn)?;
        }
        self.resume(now, turn)
    }

    /// The nodes that have an attempt under way. An inline one comes last, as it did: nothing starts
    /// before it has ended.
    fn under_way(&self) -> Vec<Instance> {
        let scopes = self.scopes.iter().filter(|scope| scope.running > 0);
        let nodes = scopes.flat_map(|scope| {
            let runs =
                |state: &NodeState| state.status == Status::Running && state.control.is_none();
            let running = scope.nodes().filter(move |(_, state)| runs(state));
            running.map(|(node, _)| scope.instance(node))
        });
        nodes.filter(|instance| self.called != Some(*instance)).chain(self.called).collect()
    }

    /// An attempt was under way when the process ended.
    fn interrupt(
        &mut self,
        now: Timestamp,
        instance: Instance,
        turn: &mut Turn,
    ) -> Result<(), Impossible> {
        if self.cancel_reason(instance).is_some() {
            return self.attempt_cancelled(now, instance, turn);
        }
        let state = self.node(instance);
        let (attempt, started_at) = (state.attempt, state.started_at);
        match self.plan_node(instance).effect {
            Effect::Pure | Effect::Read | Effect::Idempotent => {
                self.emit(now, Event::NodeInterrupted { instance, attempt }, turn)
            }
            Effect::Once => {
                let ended = Ended { instance, attempt, started_at, jitter: 0.0 };
                let message =
                    "the process ended while the node ran, so nobody knows what it has done";
                let error = NodeError::new("node.outcome_unknown", message)
                    .with_hint("it has the effect `once`, so it is not started again");
                self.attempt_failed(now, &ended, FailureKind::Interrupted, error, turn)
            }
        }
    }

    /// Perhaps it is a node that ends the process, again and again: then somebody has to look.
    fn pause_in_crash_loop(&mut self, now: Timestamp, turn: &mut Turn) -> Result<(), Impossible> {
        let crashes = self.recovery.map_or(0, |recovery| recovery.crashes);
        if crashes < MAX_CRASHES || self.paused.is_some() {
            return Ok(());
        }
        let Some(node) = self.most_interrupted() else { return Ok(()) };
        let reason = PauseReason::CrashLoop;
        self.emit(now, Event::Paused { reason, by: None, node: Some(node), dump: None }, turn)
    }

    /// Of the nodes that would start again, the one that was cut off most often.
    fn most_interrupted(&self) -> Option<Instance> {
        let nodes = self.scopes.iter().flat_map(|scope| {
            let starts = scope.nodes().filter(|(_, state)| state.starts_again());
            starts.map(|(node, state)| (state.interruptions, scope.instance(node)))
        });
        nodes.min_by_key(|(interruptions, _)| Reverse(*interruptions)).map(|(_, instance)| instance)
    }
}

// Folding.
impl Machine {
    /// The node starts again, before what has not started yet.
    pub(super) fn node_interrupted(&mut self, instance: Instance) -> Result<(), Impossible> {
        self.change(instance, Change::Interrupt)?;
        let state = self.scopes.get_mut(instance.scope).node_mut(instance.node);
        state.interruptions = state.interruptions.saturating_add(1);
        let message = "the process ended while the node ran";
        state.error = Some(NodeError::new(INTERRUPTED, message));
        let again = self.ready.iter().take_while(|other| self.node(**other).starts_again());
        let position = again.count();
        self.ready.insert(position, instance);
        self.scopes.get_mut(instance.scope).queued += 1;
        Ok(())
    }

    pub(super) fn note_recovery(&mut self, interrupted: u32) {
        let recovery = self.recovery.get_or_insert_default();
        if recovery.has_progressed {
            *recovery = Recovery::default();
        } else if interrupted > 0 {
            recovery.crashes += 1;
        }
    }

    /// A result was kept.
    #[inline]
    pub(super) fn note_progress(&mut self) {
        if let Some(recovery) = &mut self.recovery {
            recovery.has_progressed = true;
        }
    }

    pub(super) fn forget_crashes(&mut self) {
        if let Some(recovery) = &mut self.recovery {
            recovery.crashes = 0;
        }
    }
}

impl NodeState {
    /// Whether its last attempt was cut off by the end of its process, and another one follows.
    pub(super) fn starts_again(&self) -> bool {
        self.status == Status::Ready && self.interruptions > 0 && self.has_error(INTERRUPTED)
    }

    /// Whether nobody knows what became of its last attempt, which has ended.
    pub(super) fn was_cut_off(&self) -> bool {
        self.has_error(INTERRUPTED) || self.has_error("node.timed_out")
    }

    fn has_error(&self, code: &str) -> bool {
        self.error.as_ref().is_some_and(|error| error.code() == code)
    }
}

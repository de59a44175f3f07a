//! The losers of a `first` join.

use std::collections::{BTreeSet, HashSet};

use super::action::{Action, Timer, Turn};
use super::apply::Impossible;
use super::scopes::Scope;
use super::state::{Due, Machine};
use super::status::Status;
use crate::event::{Event, Instance};
use crate::node::CancelReason;
use crate::plan::NodeIndex;
use crate::time::Timestamp;
use crate::workflow::Join;

impl Machine {
    /// Cancels what only served to win the race that `winner` has decided.
    ///
    /// An unfinished node is cancelled if it has outgoing connections, all of them losing
    /// connections of `winner` or into nodes cancelled by this rule, and no expression or output
    /// reads it.
    #[inline]
    pub(super) fn cancel_losers(
        &mut self,
        now: Timestamp,
        winner: Instance,
        turn: &mut Turn,
    ) -> Result<(), Impossible> {
        if self.plan_node(winner).join != Join::First || self.node(winner).attempt > 0 {
            return Ok(());
        }
        for node in self.losers(winner) {
            let loser = Instance { node, ..winner };
            self.cancel_node(now, loser, CancelReason::LostRace, turn)?;
        }
        Ok(())
    }

    /// The losers, each after the ones that it leads to, else in file order: so none is skipped
    /// because of another, and after a crash in between the rest is found again, in the same order.
    fn losers(&self, winner: Instance) -> Vec<NodeIndex> {
        let graph = self.plan.graph();
        let scope = self.scopes.get(winner.scope);
        let winner = winner.node;
        let mut losers = Vec::new();
        let mut seen = HashSet::new();
        // Those that have lost already come first.
        let candidate = |node: NodeIndex| (!has_lost(scope, node), node);
        let mut open: BTreeSet<_> = graph.predecessors(winner).map(candidate).collect();
        while let Some((is_new, node)) = open.pop_first() {
            if seen.contains(&node) || (is_new && !self.may_lose(scope, node, winner, &seen)) {
                // If it loses with a node that is found later, it is looked at again.
                continue;
            }
            seen.insert(node);
            if is_new {
                losers.push(node);
            }
            open.extend(graph.predecessors(node).map(candidate));
        }
        losers
    }

    fn may_lose(
        &self,
        scope: &Scope,
        node: NodeIndex,
        winner: NodeIndex,
        losers: &HashSet<NodeIndex>,
    ) -> bool {
        let graph = self.plan.graph();
        // The connection that won has a source that has ended.
        let is_useless =
            |to: NodeIndex| to == winner || losers.contains(&to) || has_lost(scope, to);
        !scope.node(node).status.is_terminal()
            && !graph.is_read(node)
            && graph.successors(node).all(is_useless)
    }

    /// Cancels a control node with all that it has open, apart from its scope.
    pub(super) fn cancel_control(
        &mut self,
        now: Timestamp,
        instance: Instance,
        reason: CancelReason,
        turn: &mut Turn,
    ) -> Result<(), Impossible> {
        let attempt = self.node(instance).attempt;
        let limit_ran = self.limit_runs(instance);
        let event = Event::CancelRequested { instance: Some(instance), reason, by: None };
        self.emit(now, event, turn)?;
        if limit_ran && reason != CancelReason::AttemptTimeout {
            let timer = Timer::Limit { instance, attempt };
            turn.wish(0, Action::ClearTimer { timer });
        }
        self.begin_ending(now, turn)?;
        self.due.push_back(Due::Advance(instance));
        Ok(())
    }

    /// Cancels one node, apart from its scope.
    fn cancel_node(
        &mut self,
        now: Timestamp,
        instance: Instance,
        reason: CancelReason,
        turn: &mut Turn,
    ) -> Result<(), Impossible> {
        let state = self.node(instance);
        let attempt = state.attempt;
        match state.status {
            Status::Running if state.control.is_some() => {
                self.cancel_control(now, instance, reason, turn)
            }
            Status::Running => {
                let event = Event::CancelRequested { instance: Some(instance), reason, by: None };
                self.emit(now, event, turn)?;
                turn.wish(0, Action::Cancel { instance, attempt, reason });
                Ok(())
            }
            Status::Waiting | Status::Backoff => {
                let timer = self.own_timer(instance);
                self.emit(now, Event::NodeCancelled { instance, reason }, turn)?;
                if let Some(timer) = timer {
                    turn.wish(0, Action::ClearTimer { timer });
                }
                Ok(())
            }
            Status::Pending | Status::Ready => {
                self.emit(now, Event::NodeCancelled { instance, reason }, turn)
            }
            Status::Succeeded | Status::Failed | Status::Skipped | Status::Cancelled => Ok(()),
        }
    }
}

/// Whether a node was cancelled by this rule, or is about to be.
fn has_lost(scope: &Scope, node: NodeIndex) -> bool {
    scope.node(node).cancel == Some(CancelReason::LostRace)
}

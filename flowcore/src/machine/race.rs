//! The losers of a `first` join.

use std::collections::{BTreeSet, HashSet};

use super::action::{Action, Timer, Turn};
use super::apply::Impossible;
use super::state::Machine;
use super::status::Status;
use crate::event::Event;
use crate::node::CancelReason;
use crate::plan::NodeIndex;
use crate::time::Timestamp;
use crate::workflow::Join;

impl Machine {
    /// Cancels what only served to win the race that `node` has decided.
    ///
    /// An unfinished node is cancelled if it has outgoing connections, all of them losing
    /// connections of `node` or into nodes cancelled by this rule, and no expression or output
    /// reads it.
    #[inline]
    pub(super) fn cancel_losers(
        &mut self,
        now: Timestamp,
        node: NodeIndex,
        turn: &mut Turn,
    ) -> Result<(), Impossible> {
        if self.plan.graph().node(node).join != Join::First
            || self.scope.nodes[node as usize].attempt > 0
        {
            return Ok(());
        }
        for loser in self.losers(node) {
            self.cancel_node(now, loser, CancelReason::LostRace, turn)?;
        }
        Ok(())
    }

    /// The losers, each after the ones that it leads to, else in file order: so none is skipped
    /// because of another, and after a crash in between the rest is found again, in the same order.
    fn losers(&self, winner: NodeIndex) -> Vec<NodeIndex> {
        let graph = self.plan.graph();
        let mut losers = Vec::new();
        let mut seen = HashSet::new();
        // Those that have lost already come first.
        let candidate = |node: NodeIndex| (!self.has_lost(node), node);
        let mut open: BTreeSet<_> = graph.predecessors(winner).map(candidate).collect();
        while let Some((is_new, node)) = open.pop_first() {
            if seen.contains(&node) || (is_new && !self.may_lose(node, winner, &seen)) {
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

    /// Whether a node was cancelled by this rule, or is about to be.
    fn has_lost(&self, node: NodeIndex) -> bool {
        self.scope.nodes[node as usize].cancel == Some(CancelReason::LostRace)
    }

    fn may_lose(&self, node: NodeIndex, winner: NodeIndex, losers: &HashSet<NodeIndex>) -> bool {
        let graph = self.plan.graph();
        // The connection that won has a source that has ended.
        let is_useless = |to: NodeIndex| to == winner || losers.contains(&to) || self.has_lost(to);
        !self.scope.nodes[node as usize].status.is_terminal()
            && !graph.is_read(node)
            && graph.successors(node).all(is_useless)
    }

    /// Cancels one node, apart from its scope.
    fn cancel_node(
        &mut self,
        now: Timestamp,
        node: NodeIndex,
        reason: CancelReason,
        turn: &mut Turn,
    ) -> Result<(), Impossible> {
        let instance = self.instance(node);
        let state = &self.scope.nodes[node as usize];
        let attempt = state.attempt;
        match state.status {
            Status::Running => {
                let event = Event::CancelRequested { instance: Some(instance), reason, by: None };
                self.emit(now, event, turn)?;
                turn.wish(0, Action::Cancel { instance, attempt, reason });
                Ok(())
            }
            Status::Backoff => {
                self.emit(now, Event::NodeCancelled { instance, reason }, turn)?;
                turn.wish(0, Action::ClearTimer { timer: Timer::Retry { instance, attempt } });
                Ok(())
            }
            Status::Pending | Status::Ready => {
                self.emit(now, Event::NodeCancelled { instance, reason }, turn)
            }
            Status::Succeeded | Status::Failed | Status::Skipped | Status::Cancelled => Ok(()),
        }
    }
}

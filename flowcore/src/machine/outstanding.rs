//! What must be under way, from the state alone.

use super::action::{Action, Timer, Wish};
use super::scopes::Scope;
use super::state::Machine;
use super::status::Status;

impl Machine {
    /// Every wish that was emitted and not answered yet, derived from the state alone.
    ///
    /// Only between two facts: in the middle of one, [`Machine::resume`] takes the decisions that
    /// are due first.
    pub fn outstanding(&self, wishes: &mut Vec<Wish>) {
        if self.end.is_some() {
            wishes.push(Wish { after: self.seq, action: Action::Finish });
            return;
        }
        if self.seq == 0 {
            return;
        }
        if let Some(at) = self.deadline().filter(|_| self.deadline_runs()) {
            wishes.push(Wish { after: 0, action: Action::SetTimer { timer: Timer::Deadline, at } });
        }
        if let Some(at) = self.cleanup_until.filter(|_| self.may_abort_cleanup()) {
            wishes.push(Wish { after: 0, action: Action::SetTimer { timer: Timer::Cleanup, at } });
        }
        if self.plan.has_instances && self.paused.is_none() && self.root_scope().is_done() {
            wishes.push(Wish { after: 0, action: Action::ReleaseInstances });
        }
        for scope in self.scopes.iter().filter(|scope| scope.running > 0 || scope.waiting > 0) {
            self.outstanding_in(scope, wishes);
        }
        self.outstanding_inline(wishes);
    }

    fn outstanding_in(&self, scope: &Scope, wishes: &mut Vec<Wish>) {
        for (node, state) in scope.nodes() {
            let (instance, attempt) = (scope.instance(node), state.attempt);
            let set = |timer, at| Wish { after: self.seq, action: Action::SetTimer { timer, at } };
            match state.status {
                Status::Running if state.control.is_some() => {
                    if let Some(at) = self.limit(instance).filter(|_| self.limit_runs(instance)) {
                        wishes.push(set(Timer::Limit { instance, attempt }, at));
                    }
                }
                Status::Running => {
                    let after = self.flush_before(self.plan.graph().node(node));
                    wishes.push(Wish { after, action: Action::Start { instance, attempt } });
                    if let Some(reason) = self.cancel_reason(instance) {
                        let action = Action::Cancel { instance, attempt, reason };
                        wishes.push(Wish { after: 0, action });
                    }
                }
                Status::Backoff => {
                    wishes.push(set(Timer::Retry { instance, attempt }, state.ended_at));
                }
                Status::Waiting => {
                    let wait = state.control.as_deref().and_then(|control| control.wait());
                    if let Some((_, Some(until))) = wait {
                        wishes.push(set(Timer::Wait { instance }, until));
                    }
                }
                Status::Pending
                | Status::Ready
                | Status::Succeeded
                | Status::Failed
                | Status::Skipped
                | Status::Cancelled => {}
            }
        }
    }

    /// What has one event is always offered at the head of the queue.
    fn outstanding_inline(&self, wishes: &mut Vec<Wish>) {
        let Some(instance) = self.next_to_start() else { return };
        if self.plan_node(instance).has_one_event() {
            let attempt = self.node(instance).attempt + 1;
            wishes.push(Wish { after: 0, action: Action::Start { instance, attempt } });
        }
    }
}

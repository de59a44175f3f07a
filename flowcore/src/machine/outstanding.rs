//! What must be under way, from the state alone.

use super::action::{Action, Timer, Wish};
use super::state::{Ending, Machine};
use super::status::Status;
use crate::node::Execution;

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
        let deadline_runs = matches!(self.scope.ending, None | Some(Ending::NewRound));
        if let Some(at) = self.deadline().filter(|_| deadline_runs) {
            wishes.push(Wish { after: 0, action: Action::SetTimer { timer: Timer::Deadline, at } });
        }
        let ends = self.is_done() || (self.scope.ending.is_some() && self.scope.running == 0);
        if self.plan.has_instances && ends {
            wishes.push(Wish { after: 0, action: Action::ReleaseInstances });
        }
        self.outstanding_attempts(wishes);
        self.outstanding_inline(wishes);
    }

    fn outstanding_attempts(&self, wishes: &mut Vec<Wish>) {
        if self.scope.running == 0 && self.scope.waiting == 0 {
            return;
        }
        for (node, state) in (0..).zip(&self.scope.nodes) {
            let (instance, attempt) = (self.instance(node), state.attempt);
            match state.status {
                Status::Running => {
                    let after = self.flush_before(self.plan.graph().node(node));
                    wishes.push(Wish { after, action: Action::Start { instance, attempt } });
                    if let Some(reason) = self.cancel_reason(node) {
                        let action = Action::Cancel { instance, attempt, reason };
                        wishes.push(Wish { after: 0, action });
                    }
                }
                Status::Backoff => {
                    let timer = Timer::Retry { instance, attempt };
                    let action = Action::SetTimer { timer, at: state.ended_at };
                    wishes.push(Wish { after: self.seq, action });
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

    /// An inline node at the head of the queue is always offered.
    fn outstanding_inline(&self, wishes: &mut Vec<Wish>) {
        let Some(node) = self.next_to_start() else { return };
        let plan_node = self.plan.graph().node(node);
        if plan_node.execution == Execution::Inline {
            let (instance, attempt) =
                (self.instance(node), self.scope.nodes[node as usize].attempt + 1);
            let after = self.flush_before(plan_node);
            wishes.push(Wish { after, action: Action::Start { instance, attempt } });
        }
    }
}

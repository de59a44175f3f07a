//! Folding events into state: decides nothing, evaluates nothing.

use std::collections::VecDeque;

use super::control::Control;
use super::resolve::{Queues, release_incoming, resolve_outgoing};
use super::scopes::WorkflowState;
use super::state::{End, Ending, Machine, NodeState, Signal};
use super::status::{Change, ExecutionStatus, Status};
use crate::event::{
    AfterFailure, Event, FailureKind, Instance, Part, Record, ScopeEnd, ScopeId, Wait,
};
use crate::node::{CancelReason, Execution, NodeError, NodeOutput};
use crate::plan::{NodeIndex, PlanNode};
use crate::time::Timestamp;
use crate::value::{Object, Value};

/// An event that cannot follow the ones before it: a bug in Flow, or events of another execution.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Impossible {
    /// The number is not the next one.
    #[error("event {found} follows event {last}")]
    Sequence {
        /// The last number.
        last: u64,
        /// The number of the event.
        found: u64,
    },
    /// The event is about a scope or node that does not exist.
    #[error("event {seq} is about a node that does not exist")]
    NoSuchInstance {
        /// The number of the event.
        seq: u64,
    },
    /// A node cannot do this in its state.
    #[error("node `{node}` cannot {change:?} when it is {status:?}")]
    Transition {
        /// The node.
        node: String,
        /// Its state.
        status: Status,
        /// What was to happen.
        change: Change,
    },
    /// The execution cannot start twice, nor go on after its end.
    #[error("event {seq} comes before the start or after the end")]
    OutOfBounds {
        /// The number of the event.
        seq: u64,
    },
}

impl Machine {
    /// Folds an event into the state.
    ///
    /// # Errors
    /// [`Impossible`] when the event cannot follow the ones before it; the machine is then useless.
    pub fn apply(&mut self, record: Record) -> Result<(), Impossible> {
        let Record { seq, at, event } = record;
        self.fold(seq, at, event)
    }

    /// As [`Machine::apply`]. Inlined, so that where the kind of the event is known nothing else is
    /// left of it, and the event is never built in memory.
    #[inline(always)]
    pub(super) fn fold(&mut self, seq: u64, at: Timestamp, event: Event) -> Result<(), Impossible> {
        if seq != self.seq + 1 {
            return Err(Impossible::Sequence { last: self.seq, found: seq });
        }
        let is_first = matches!(event, Event::WorkflowStarted { .. });
        if is_first != (self.seq == 0) || self.end.is_some() {
            return Err(Impossible::OutOfBounds { seq });
        }
        if event.instance().is_some_and(|instance| self.find(instance).is_none())
            || event.scope().is_some_and(|scope| self.scopes.find(scope).is_none())
            || event.opens().is_some_and(|scope| scope != self.scopes.next_id())
        {
            return Err(Impossible::NoSuchInstance { seq });
        }
        self.seq = seq;
        match event {
            Event::WorkflowStarted { inputs, kept } => {
                self.started_at = at;
                self.kept = kept;
                let workflow = WorkflowState::new(inputs, 1);
                self.root = self.open_scope(0, Part::Workflow, None, Some(workflow));
                Ok(())
            }
            Event::NodeStarted { instance, attempt, opens } => {
                self.begin(instance, attempt, at);
                self.change(instance, Change::Start)?;
                if let Some(opens) = opens {
                    let control = Some(Box::new(Control::new(*opens)));
                    self.scopes.get_mut(instance.scope).node_mut(instance.node).control = control;
                }
                Ok(())
            }
            // The attempt has not begun: it is due later, as one after a failure is.
            Event::NodeWaiting { instance, until, wait: Wait::RateLimit { .. }, .. } => {
                let state = self.scopes.get_mut(instance.scope).node_mut(instance.node);
                state.ended_at = until.unwrap_or_default();
                self.change(instance, Change::Retry).map(drop)
            }
            Event::NodeWaiting { instance, attempt, until, wait } => {
                self.begin(instance, attempt, at);
                self.change(instance, Change::Wait)?;
                let state = self.scopes.get_mut(instance.scope).node_mut(instance.node);
                state.end_seq = seq;
                state.ended_at = until.unwrap_or_default();
                state.control = Some(Box::new(Control::waiting(wait, until)));
                Ok(())
            }
            Event::NodeCompleted {
                instance,
                attempt,
                outputs,
                state_writes,
                started_at,
                cache,
                kept: _,
                changes: _,
                undo,
            } => {
                self.begin(instance, attempt, started_at);
                self.note_progress();
                if cache.is_some() {
                    self.scopes.get_mut(instance.scope).node_mut(instance.node).cache = cache;
                }
                if let Some(undo) = undo {
                    self.note_undo(instance, *undo);
                }
                if !state_writes.is_empty() {
                    self.commit(instance, &state_writes);
                }
                self.finish(instance, Change::Succeed, outputs, at)
            }
            Event::NodeFailed { instance, attempt, outcome, error, then, started_at } => {
                self.begin(instance, attempt, started_at);
                self.note_progress();
                let goes_on = matches!(then, AfterFailure::Retry(_));
                self.note_cut_off(instance, outcome != FailureKind::Failed && !goes_on);
                self.node_failed(instance, error, then, at)
            }
            Event::NodeInterrupted { instance, .. } => self.node_interrupted(instance),
            Event::WaitEnded { instance } => {
                self.change(instance, Change::Due)?;
                self.enqueue(instance);
                Ok(())
            }
            Event::NodeSkipped { instance, .. } => {
                self.finish(instance, Change::Skip, NodeOutput::new(), at)
            }
            Event::NodeCancelled { instance, reason } => {
                let state = self.scopes.get_mut(instance.scope).node_mut(instance.node);
                state.cancel = Some(reason);
                let is_cut_off = state.status == Status::Running || state.was_cut_off();
                self.note_progress();
                self.note_cut_off(instance, is_cut_off);
                self.finish(instance, Change::Cancel, NodeOutput::new(), at)
            }
            Event::CancelRequested { instance, reason, .. } => {
                self.cancel_requested(instance, reason);
                Ok(())
            }
            Event::Paused { reason, .. } => {
                self.paused = Some(reason);
                Ok(())
            }
            Event::Resumed { .. } => {
                self.paused = None;
                self.forget_crashes();
                Ok(())
            }
            Event::Recovered { interrupted, .. } => {
                self.note_recovery(interrupted);
                Ok(())
            }
            Event::StopRequested { instance, .. } => {
                self.begin(instance, 1, at);
                self.finish(instance, Change::Succeed, NodeOutput::new(), at)?;
                // What ends already goes on as it does.
                if self.root_scope().ending.is_none() {
                    self.end_scope(self.root, Ending::Stopped);
                }
                Ok(())
            }
            Event::SignalReceived { instance, name, key, payload } => {
                self.signal_received(instance, Signal { name, key, payload });
                Ok(())
            }
            Event::ScopeOpened { scope: _, opener, part } => self.scope_opened(opener, part),
            Event::ScopeClosed { scope, end } => {
                self.scope_closed(scope, end);
                Ok(())
            }
            Event::CleanupStarted { until, error } => {
                self.cleanup_until = Some(until);
                if error.is_some() {
                    self.scopes.get_mut(self.root).ending = Some(Ending::Outputs);
                    self.outputs_failure = error;
                }
                Ok(())
            }
            Event::UndoStarted { workflow, .. } if self.scopes.find(workflow).is_some() => {
                self.undo_started(workflow)
            }
            Event::UndoStarted { .. } => Err(Impossible::NoSuchInstance { seq }),
            Event::RoundStarted { round, scope: _, after } => {
                self.round_started(after, round);
                Ok(())
            }
            Event::WorkflowCompleted { status, outputs, error, warnings, not_undone } => {
                if status != ExecutionStatus::Succeeded {
                    self.release_unread();
                }
                // Nothing is undone any more.
                self.undo = Vec::new();
                self.end = Some(End { status, outputs, error, warnings, not_undone, at });
                Ok(())
            }
        }
    }

    /// What waited for readers that never ran is let go; when all went well, there is nothing left.
    fn release_unread(&mut self) {
        let results = &self.plan.body(0).results;
        let scope = self.scopes.get_mut(self.root);
        for (index, state) in (scope.first..).zip(&mut scope.nodes) {
            if !self.options.keep_outputs && results.binary_search(&index).is_err() {
                state.outputs = NodeOutput::new();
            }
        }
    }

    fn cancel_requested(&mut self, instance: Option<Instance>, reason: CancelReason) {
        let Some(instance) = instance else {
            // What has to end need not be resumed first.
            self.paused = None;
            if self.root_scope().ending.is_none_or(|ending| ending == Ending::NewRound) {
                self.end_scope(self.root, Ending::Cancelled(reason));
            } else {
                // A second cancel: what cleans up stops, too.
                self.cleanup_aborted = true;
                let shielded: Vec<ScopeId> =
                    self.scopes.iter().filter(|s| s.is_shielded()).map(|s| s.id).collect();
                let ending = Ending::Cancelled(reason);
                shielded.into_iter().for_each(|scope| self.cancel_scope(scope, ending));
            }
            return;
        };
        let state = self.scopes.get_mut(instance.scope).node_mut(instance.node);
        state.cancel = Some(reason);
        let inside: Vec<ScopeId> =
            state.control.iter().flat_map(|control| control.open.iter().copied()).collect();
        let reason = match reason {
            // Of their own time they have had enough.
            CancelReason::AttemptTimeout => CancelReason::ScopeTimeout,
            reason => reason,
        };
        inside.into_iter().for_each(|scope| self.cancel_scope(scope, Ending::Cancelled(reason)));
    }

    fn signal_received(&mut self, instance: Option<Instance>, signal: Signal) {
        let Some(instance) = instance else { return self.signals.push(signal) };
        if let Some(kept) = self.signals.iter().position(|kept| *kept == signal) {
            self.signals.remove(kept);
        }
        let state = self.scopes.get_mut(instance.scope).node_mut(instance.node);
        if let Some(control) = &mut state.control {
            control.woken(signal.payload);
        }
    }

    fn scope_opened(&mut self, opener: Instance, part: Part) -> Result<(), Impossible> {
        let plan = self.plan.clone();
        let state = self.scopes.get_mut(opener.scope).node_mut(opener.node);
        let found = state.control.as_mut().zip(plan.graph().node(opener.node).control());
        let found = found.and_then(|(control, plan)| control.opened(plan, part));
        let Some((body, inputs)) = found else {
            return Err(Impossible::NoSuchInstance { seq: self.seq });
        };
        let workflow = inputs.map(|inputs| WorkflowState::new(inputs, 1));
        let scope = self.open_scope(body, part, Some(opener), workflow);
        self.control_mut(opener).open.push_back(scope);
        Ok(())
    }

    /// What the control node of an instance has under way.
    ///
    /// # Panics
    /// When it has nothing under way.
    pub(super) fn control_mut(&mut self, instance: Instance) -> &mut Control {
        let state = self.scopes.get_mut(instance.scope).node_mut(instance.node);
        state.control.as_deref_mut().expect("the control node has started")
    }

    fn scope_closed(&mut self, id: ScopeId, end: ScopeEnd) {
        let Some(scope) = self.scopes.close(id) else { return };
        self.undo_ended(&scope, &end);
        if let Some(opener) = scope.opener {
            let control = self.control_mut(opener);
            // Most end in the order in which they were opened, so it is found near the front; the
            // shorter side moves up.
            if let Some(position) = control.open.iter().position(|open| *open == id) {
                control.open.remove(position);
            }
            if let Some(ending) = control.closed(scope.part, end) {
                let others = control.open.clone();
                others.into_iter().for_each(|other| self.cancel_scope(other, ending));
            }
        }
        self.scopes.reuse(scope);
    }

    fn round_started(&mut self, after: ScopeId, round: u32) {
        self.forget_undo(after);
        let Some(scope) = self.scopes.close(after) else { return };
        let inputs = scope.workflow.as_ref().map(|workflow| workflow.inputs.clone());
        let workflow = WorkflowState::new(inputs.unwrap_or_default(), round);
        let id = self.open_scope(scope.body, scope.part, scope.opener, Some(workflow));
        match scope.opener {
            Some(opener) => {
                let open = &mut self.control_mut(opener).open;
                open.iter_mut().filter(|open| **open == after).for_each(|open| *open = id);
            }
            None => {
                // What was cleaned up before it had its own time.
                (self.root, self.cleanup_until, self.cleanup_aborted) = (id, None, false);
                self.kept = None;
            }
        }
        self.scopes.reuse(scope);
    }

    fn enqueue(&mut self, instance: Instance) {
        let scope = self.scopes.get_mut(instance.scope);
        if scope.ending.is_none() {
            scope.queued += 1;
            self.ready.push_back(instance);
        }
    }

    /// Moves a node along the transition table, and keeps the counts and the queues.
    #[inline]
    pub(super) fn change(
        &mut self,
        instance: Instance,
        change: Change,
    ) -> Result<Status, Impossible> {
        let scope = self.scopes.get_mut(instance.scope);
        let state = scope.node_mut(instance.node);
        let before = state.status;
        let has_scopes = state.control.is_some();
        let Some(after) = before.next(change) else {
            return Err(Impossible::Transition {
                node: self.plan.graph().node(instance.node).id().to_string(),
                status: before,
                change,
            });
        };
        state.status = after;
        match before {
            Status::Running => {
                scope.running -= 1;
                self.running -= u32::from(!has_scopes);
                self.called = self.called.filter(|called| *called != instance);
            }
            Status::Backoff | Status::Waiting => {
                scope.waiting -= 1;
                self.waiting -= 1;
            }
            Status::Ready => scope.queued -= remove(&mut self.ready, instance),
            Status::Pending => scope.queued -= remove(&mut self.dead, instance),
            Status::Succeeded | Status::Failed | Status::Skipped | Status::Cancelled => {}
        }
        match after {
            Status::Running => {
                scope.running += 1;
                // A control node has scopes and no attempt that needs a permit.
                let plan_node = self.plan.graph().node(instance.node);
                self.running += u32::from(plan_node.control().is_none());
                if plan_node.execution == Execution::Inline {
                    self.called = Some(instance);
                }
            }
            Status::Backoff | Status::Waiting => {
                scope.waiting += 1;
                self.waiting += 1;
            }
            Status::Pending
            | Status::Ready
            | Status::Succeeded
            | Status::Failed
            | Status::Skipped
            | Status::Cancelled => {}
        }
        Ok(after)
    }

    /// Notes which attempt an event is about.
    fn begin(&mut self, instance: Instance, attempt: u32, started_at: Timestamp) {
        let state = self.scopes.get_mut(instance.scope).node_mut(instance.node);
        if state.attempt == 0 {
            state.started_at = started_at;
        }
        state.attempt = attempt;
    }

    fn commit(&mut self, instance: Instance, writes: &Object) {
        let home = self.scopes.get(instance.scope).home;
        let writer = self.options.keep_outputs.then(|| self.outermost(instance)).flatten();
        let Some(workflow) = &mut self.scopes.get_mut(home).workflow else { return };
        for (key, value) in writes.iter() {
            workflow.state.insert(key.clone(), value.clone()).expect("it was in an object already");
        }
        workflow.writes.extend(writer.map(|writer| (writer, writes.clone())));
    }

    /// The node of the workflow that is executed in which an instance stands; not for what undoes.
    fn outermost(&self, instance: Instance) -> Option<NodeIndex> {
        if instance.scope == self.root {
            return Some(instance.node);
        }
        self.outermost(self.scopes.get(instance.scope).opener?)
    }

    fn node_failed(
        &mut self,
        instance: Instance,
        error: NodeError,
        then: AfterFailure,
        at: Timestamp,
    ) -> Result<(), Impossible> {
        let scope = self.scopes.get_mut(instance.scope);
        let home = scope.home;
        let state = scope.node_mut(instance.node);
        state.error = Some(error);
        match then {
            AfterFailure::Retry(due) => {
                state.ended_at = due;
                return self.change(instance, Change::Retry).map(drop);
            }
            AfterFailure::ErrorPort => {
                state.handled = true;
                let outputs = error_output(self.plan.graph().node(instance.node), state);
                return self.finish(instance, Change::Fail, outputs, at);
            }
            AfterFailure::Stop | AfterFailure::NewRound => {
                self.finish(instance, Change::Fail, NodeOutput::new(), at)?;
                if then == AfterFailure::Stop {
                    self.end_scope(instance.scope, Ending::Failed(instance.node));
                } else {
                    self.end_scope(home, Ending::NewRound);
                }
                return Ok(());
            }
            AfterFailure::Continue | AfterFailure::Ending => {}
        }
        self.finish(instance, Change::Fail, NodeOutput::new(), at)
    }

    /// A node has come to its end: its connections resolve, and what it read is let go.
    fn finish(
        &mut self,
        instance: Instance,
        change: Change,
        outputs: NodeOutput,
        at: Timestamp,
    ) -> Result<(), Impossible> {
        self.change(instance, change)?;
        let plan = &*self.plan;
        let node = instance.node;
        let scope = self.scopes.get_mut(instance.scope);
        let state = scope.node_mut(node);
        state.ended_at = at;
        state.end_seq = self.seq;
        state.in_order = outputs.is_in_order_of(plan.output_names(plan.graph().node(node)));
        if let Some(control) = &mut state.control {
            control.let_go();
        }
        let has_readers = state.readers > 0;
        state.outputs = outputs;
        let mut queues = Queues { ready: &mut self.ready, dead: &mut self.dead };
        resolve_outgoing(plan, scope, &mut queues, node, self.seq);
        release_incoming(plan, scope, node);
        if !has_readers {
            scope.node_mut(node).outputs = NodeOutput::new();
        }
        Ok(())
    }
}

/// Takes a node out of a queue; it nearly always stands at the head. Gives how often it stood there:
/// not at all when its scope has begun to end, or when it still waits for connections.
#[inline]
fn remove(queue: &mut VecDeque<Instance>, instance: Instance) -> u32 {
    if queue.front() == Some(&instance) {
        queue.pop_front();
        return 1;
    }
    let before = queue.len();
    queue.retain(|&other| other != instance);
    u32::from(queue.len() < before)
}

/// The value of the port `error`.
fn error_output(node: &PlanNode, state: &NodeState) -> NodeOutput {
    let error = state.error.as_ref();
    let text = |text: Option<&str>| text.map_or(Value::Null, Value::from);
    let inner = state.control.as_ref().and_then(|control| control.failure.as_ref());
    let inner = inner.and_then(|failure| failure.node.as_deref());
    let entries = [
        ("code", text(error.map(NodeError::code))),
        ("message", text(error.map(ToString::to_string).as_deref())),
        ("node", Value::from(inner.unwrap_or(node.id().as_str()))),
        ("attempts", Value::from(state.attempt)),
    ];
    let object = Object::from_entries(entries).expect("it holds only scalars");
    NodeOutput::of("error", object)
}

//! How executions, rounds and scopes end.

use super::action::{Action, Timer, Turn};
use super::apply::Impossible;
use super::lookup::Reader;
use super::scopes::Scope;
use super::state::{Begun, Due, Ending, Machine, NodeState, Release};
use super::status::{ExecutionStatus, Status};
use crate::event::{Event, ExecutionError, Instance, ScopeEnd, ScopeId};
use crate::expression::{Expression, ExpressionError, NodeSlot, Slot};
use crate::node::{CancelReason, NodeError};
use crate::time::Timestamp;
use crate::value::{Object, Value};

/// What an execution gives, and what is missing in it.
type Outputs = (Value, Vec<String>);

impl Machine {
    pub(super) fn set_deadline(&self, turn: &mut Turn) {
        if let Some(at) = self.deadline() {
            turn.wish(0, Action::SetTimer { timer: Timer::Deadline, at });
        }
    }

    /// When the execution has taken as long as it may.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        let settings = &self.plan.workflow().settings;
        settings.max_execution_time().map(|time| self.started_at.after(time))
    }

    /// Whether the deadline would still end something.
    pub(super) fn deadline_runs(&self) -> bool {
        matches!(self.root_scope().ending, None | Some(Ending::NewRound))
    }

    /// Somebody, or the deadline, wants the execution to stop. What is ending already goes on
    /// ending, except that nothing starts a new round any more, and cleaning up stops. Gives whether
    /// it took.
    pub(super) fn cancel(
        &mut self,
        now: Timestamp,
        event: Event,
        turn: &mut Turn,
    ) -> Result<bool, Impossible> {
        if self.end.is_some() || self.seq == 0 {
            self.stale += 1;
            return Ok(false);
        }
        let is_first = self.deadline_runs();
        if !is_first && !self.may_abort_cleanup() {
            self.stale += 1;
            return Ok(false);
        }
        let was_paused = self.paused.is_some();
        self.emit(now, event, turn)?;
        if was_paused {
            self.find_due();
        }
        if !is_first {
            turn.wish(0, Action::ClearTimer { timer: Timer::Cleanup });
        }
        self.begin_ending(now, turn)?;
        Ok(is_first)
    }

    /// Whether what cleans up is under way, and would stop.
    pub(super) fn may_abort_cleanup(&self) -> bool {
        self.cleanup_until.is_some() && !self.cleanup_aborted
    }

    /// Cleaning up has taken as long as it may.
    pub(super) fn cleanup_timed_out(
        &mut self,
        now: Timestamp,
        turn: &mut Turn,
    ) -> Result<(), Impossible> {
        let reason = CancelReason::ExecutionTimeout;
        let event = Event::CancelRequested { instance: None, reason, by: None };
        if self.end.is_some() || self.cleanup_until.is_none() {
            self.stale += 1;
            return Ok(());
        }
        // Before a new round the first only ends the execution.
        if self.cancel(now, event.clone(), turn)? {
            self.clear_deadline(turn);
            self.cancel(now, event, turn)?;
        }
        Ok(())
    }

    /// From now on what goes on only cleans up, and has its own time for that; `failure` when it was
    /// the outputs that failed.
    pub(super) fn begin_cleanup(
        &mut self,
        now: Timestamp,
        failure: Option<ExecutionError>,
        turn: &mut Turn,
    ) -> Result<(), Impossible> {
        if self.cleanup_until.is_some() {
            return Ok(());
        }
        let millis = self.plan.workflow().settings.cleanup_time_ms;
        let until = now.after(std::time::Duration::from_millis(millis));
        let error = failure.map(Box::new);
        self.emit(now, Event::CleanupStarted { until, error }, turn)?;
        turn.wish(0, Action::SetTimer { timer: Timer::Cleanup, at: until });
        Ok(())
    }

    /// The execution ends: what cleans up goes on, and from now on its time runs.
    pub(super) fn begin_cleanup_of_open(
        &mut self,
        now: Timestamp,
        turn: &mut Turn,
    ) -> Result<(), Impossible> {
        if self.scopes.iter().any(|scope| scope.is_shielded() && scope.ending.is_none()) {
            self.begin_cleanup(now, None, turn)?;
        }
        Ok(())
    }

    fn clear_cleanup(&self, turn: &mut Turn) {
        if self.may_abort_cleanup() {
            turn.wish(0, Action::ClearTimer { timer: Timer::Cleanup });
        }
    }

    pub(super) fn clear_deadline(&self, turn: &mut Turn) {
        if self.deadline().is_some() {
            turn.wish(0, Action::ClearTimer { timer: Timer::Deadline });
        }
    }

    /// Scopes have begun to end: their running nodes are told to stop, waiting ones stop at once.
    pub(super) fn begin_ending(
        &mut self,
        now: Timestamp,
        turn: &mut Turn,
    ) -> Result<(), Impossible> {
        for Begun { scope: id, again } in std::mem::take(&mut self.begun) {
            let Some(scope) = self.scopes.find(id) else { continue };
            if id == self.root {
                if matches!(scope.ending, Some(Ending::Failed(_) | Ending::Stopped)) {
                    self.clear_deadline(turn);
                }
                self.begin_cleanup_of_open(now, turn)?;
            }
            self.stop_waiting(now, id, turn)?;
            self.stop_running(id, again, turn);
            self.due.push_back(Due::Close(id));
        }
        Ok(())
    }

    fn stop_running(&mut self, id: ScopeId, again: bool, turn: &mut Turn) {
        let scope = self.scopes.get(id);
        if scope.running == 0 {
            return;
        }
        for (node, state) in scope.nodes().filter(|(_, state)| state.status == Status::Running) {
            let (instance, attempt) = (scope.instance(node), state.attempt);
            if state.control.is_some() {
                let is_decided = state.control.as_ref().is_some_and(|control| control.is_decided());
                let has_limit = self.limit(instance).is_some() && !is_decided;
                if has_limit && state.cancel.is_none() && !again {
                    let timer = Timer::Limit { instance, attempt };
                    turn.wish(0, Action::ClearTimer { timer });
                }
                self.due.push_back(Due::Advance(instance));
            } else {
                let reason = self.cancel_reason(instance).unwrap_or(CancelReason::SiblingFailed);
                turn.wish(0, Action::Cancel { instance, attempt, reason });
            }
        }
    }

    /// Nodes that wait for a time or a signal have nothing to be awaited, nor have those that were
    /// interrupted and do not start again.
    pub(super) fn stop_waiting(
        &mut self,
        now: Timestamp,
        scope: ScopeId,
        turn: &mut Turn,
    ) -> Result<(), Impossible> {
        let scope = self.scopes.get(scope);
        if scope.waiting == 0 && self.recovery.is_none() {
            return Ok(());
        }
        let waits = |state: &NodeState| {
            matches!(state.status, Status::Backoff | Status::Waiting) || state.starts_again()
        };
        let waiting = scope.nodes().filter(|(_, state)| waits(state));
        let waiting: Vec<Instance> = waiting.map(|(node, _)| scope.instance(node)).collect();
        for instance in waiting {
            let reason = self.cancel_reason(instance).unwrap_or(CancelReason::SiblingFailed);
            let timer = self.own_timer(instance);
            self.emit(now, Event::NodeCancelled { instance, reason }, turn)?;
            if let Some(timer) = timer {
                turn.wish(0, Action::ClearTimer { timer });
            }
        }
        Ok(())
    }

    /// The timer that a node has set, if it waits for one.
    pub(super) fn own_timer(&self, instance: Instance) -> Option<Timer> {
        let state = self.node(instance);
        let until = state.control.as_deref().and_then(|control| control.wait()?.1);
        match state.status {
            Status::Backoff => Some(Timer::Retry { instance, attempt: state.attempt }),
            Status::Waiting => until.map(|_| Timer::Wait { instance }),
            Status::Pending
            | Status::Ready
            | Status::Running
            | Status::Succeeded
            | Status::Failed
            | Status::Skipped
            | Status::Cancelled => None,
        }
    }

    /// Closes a scope in which nothing is left to do: its end is a fact for whoever opened it.
    pub(super) fn close_if_done(
        &mut self,
        now: Timestamp,
        id: ScopeId,
        turn: &mut Turn,
    ) -> Result<(), Impossible> {
        let Some(scope) = self.scopes.find(id).filter(|scope| scope.is_done()) else {
            return Ok(());
        };
        if scope.undo.is_some() {
            return self.close_undo(now, id, turn);
        }
        if scope.workflow.is_some() && self.undo_next(now, id, turn)? {
            return Ok(());
        }
        let scope = self.scopes.get(id);
        let Some(opener) = scope.opener else {
            return if self.instances_are_released(turn) {
                self.conclude(now, turn)
            } else {
                Ok(())
            };
        };
        let end = match scope.ending {
            Some(Ending::NewRound) => {
                let (round, next) = (scope.round() + 1, self.scopes.next_id());
                let event = Event::RoundStarted { round, scope: next, after: id };
                self.emit(now, event, turn)?;
                self.release_scope(id, turn);
                return Ok(());
            }
            Some(Ending::Failed(node)) => ScopeEnd::Failed(self.node_error(scope.instance(node))),
            Some(Ending::Cancelled(_) | Ending::Stopped | Ending::Outputs) => ScopeEnd::Cancelled,
            None => match self.outputs(scope) {
                Ok((outputs, _)) => ScopeEnd::Succeeded(outputs),
                Err(failure) => {
                    let place = self.prefix(scope).trim_end_matches('.').to_owned();
                    ScopeEnd::Failed(ExecutionError {
                        node: Some(place),
                        ..outputs_error("body", &failure)
                    })
                }
            },
        };
        let limit_ran = self.limit_runs(opener);
        self.emit(now, Event::ScopeClosed { scope: id, end }, turn)?;
        self.release_scope(id, turn);
        if limit_ran && !self.limit_runs(opener) {
            let attempt = self.node(opener).attempt;
            let timer = Timer::Limit { instance: opener, attempt };
            turn.wish(0, Action::ClearTimer { timer });
        }
        // The end of one may be the end of those beside it.
        self.begin_ending(now, turn)?;
        self.due.push_back(Due::Advance(opener));
        Ok(())
    }

    /// Closes the scope of an undo: the workflow that it belongs to may have another one.
    fn close_undo(
        &mut self,
        now: Timestamp,
        id: ScopeId,
        turn: &mut Turn,
    ) -> Result<(), Impossible> {
        let scope = self.scopes.get(id);
        let (workflow, instance) = (scope.home, scope.instance(scope.first));
        // As with every node, work that succeeded in spite of a cancel counts as succeeded.
        let end = match self.node(instance).status {
            Status::Succeeded => ScopeEnd::Succeeded(Value::Null),
            Status::Failed => ScopeEnd::Failed(self.node_error(instance)),
            Status::Pending
            | Status::Ready
            | Status::Running
            | Status::Backoff
            | Status::Waiting
            | Status::Skipped
            | Status::Cancelled => ScopeEnd::Cancelled,
        };
        self.emit(now, Event::ScopeClosed { scope: id, end }, turn)?;
        self.release_scope(id, turn);
        self.due.push_back(Due::Close(workflow));
        Ok(())
    }

    /// The instances of nodes of a scope that is gone are not needed any more.
    fn release_scope(&self, scope: ScopeId, turn: &mut Turn) {
        if self.plan.has_instances {
            turn.wish(0, Action::ReleaseScope { scope });
        }
    }

    /// The instances were shut down.
    pub(super) fn instances_released(&mut self) {
        self.release = Release::Done;
        self.due.push_back(Due::Close(self.root));
    }

    /// Asks, once, for the instances to be shut down: before the end, and before a new round.
    fn instances_are_released(&mut self, turn: &mut Turn) -> bool {
        if !self.plan.has_instances || self.release == Release::Done {
            self.release = Release::Held;
            return true;
        }
        if self.release == Release::Held {
            self.release = Release::Asked;
            turn.wish(0, Action::ReleaseInstances);
        }
        false
    }

    /// Nothing runs any more: a new round, or the end.
    fn conclude(&mut self, now: Timestamp, turn: &mut Turn) -> Result<(), Impossible> {
        let root = self.root_scope();
        let mut event = match root.ending {
            Some(Ending::NewRound) => {
                let (round, scope) = (root.round() + 1, self.scopes.next_id());
                let event = Event::RoundStarted { round, scope, after: self.root };
                self.clear_cleanup(turn);
                return self.emit(now, event, turn);
            }
            Some(Ending::Failed(node)) => {
                let error = self.node_error(root.instance(node));
                completed(ExecutionStatus::Failed, Some(error))
            }
            Some(Ending::Outputs) => {
                completed(ExecutionStatus::Failed, self.outputs_failure.as_deref().cloned())
            }
            Some(Ending::Cancelled(CancelReason::ExecutionTimeout)) => {
                let message = "the execution took longer than `max_execution_time_ms`";
                completed(ExecutionStatus::TimedOut, Some(error("execution.timed_out", message)))
            }
            Some(Ending::Cancelled(reason)) => match self.history_error(reason) {
                Some(error) => completed(ExecutionStatus::Failed, Some(error)),
                None => {
                    let message = format!("the execution was cancelled ({reason})");
                    let error = error("execution.cancelled", message);
                    completed(ExecutionStatus::Cancelled, Some(error))
                }
            },
            None | Some(Ending::Stopped) => match self.outputs(root) {
                Ok((outputs, warnings)) => Event::WorkflowCompleted {
                    status: ExecutionStatus::Succeeded,
                    outputs: Some(outputs),
                    error: None,
                    warnings,
                    not_undone: Vec::new(),
                },
                Err(failure) => {
                    let error = outputs_error("workflow", &failure);
                    completed(ExecutionStatus::Failed, Some(error))
                }
            },
        };
        if let Event::WorkflowCompleted { status, not_undone, .. } = &mut event {
            *not_undone = self.left_undone(*status);
        }
        let deadline_runs = root.ending.is_none();
        self.emit(now, event, turn)?;
        if deadline_runs {
            self.clear_deadline(turn);
        }
        self.clear_cleanup(turn);
        turn.wish(self.seq, Action::Finish);
        Ok(())
    }

    /// Why a node failed, or what inside of it did.
    fn node_error(&self, instance: Instance) -> ExecutionError {
        let state = self.node(instance);
        if let Some(inner) = state.control.as_ref().and_then(|control| control.failure.clone()) {
            return inner;
        }
        let failure = state.error.as_ref().expect("a failed node has an error");
        ExecutionError {
            code: failure.code().to_owned(),
            message: failure.to_string(),
            node: Some(self.address(instance)),
            attempts: Some(state.attempt),
            hint: failure.hint().map(str::to_owned),
        }
    }

    /// Why the outputs of the workflow fail, if they do.
    pub(super) fn outputs_failure(&self, scope: &Scope) -> Option<ExecutionError> {
        self.outputs(scope).err().map(|failure| outputs_error("workflow", &failure))
    }

    /// What a scope gives.
    fn outputs(&self, scope: &Scope) -> Result<Outputs, NodeError> {
        let Some(template) = &self.plan.body(scope.body).outputs else {
            return self.results(scope);
        };
        let mut warnings = Vec::new();
        let value = template
            .resolve_with(&mut |expression| self.output_value(scope, expression, &mut warnings))?;
        Ok((value, warnings))
    }

    /// The value of an expression in `outputs`. A port that is not live is undefined, so that
    /// `default` and `is defined` work; else it is null, and so is everything inside of it.
    fn output_value(
        &self,
        scope: &Scope,
        expression: &Expression,
        warnings: &mut Vec<String>,
    ) -> Result<Value, ExpressionError> {
        let slots = expression.slots();
        let mut values: Vec<Option<Value>> =
            slots.iter().map(|slot| self.lookup(slot, Reader::of_scope(scope))).collect();
        let result = expression.evaluate(&values);
        let mut is_partial = false;
        for (slot, value) in slots.iter().zip(&mut values) {
            if let (Slot::Node(node), None, Err(_)) = (slot, &value, &result) {
                warnings.push(self.null_warning(scope, node));
                *value = Some(Value::Null);
                is_partial = true;
            }
        }
        if is_partial {
            return Ok(expression.evaluate(&values).unwrap_or_default());
        }
        result
    }

    fn null_warning(&self, scope: &Scope, slot: &NodeSlot) -> String {
        let NodeSlot { id, port, node } = slot;
        let status = scope.find(*node).map_or(Status::Pending, |state| state.status);
        if status == Status::Succeeded {
            return format!("`nodes.{id}.{port}` is null: node `{id}` gave nothing on this port");
        }
        format!("`nodes.{id}.{port}` is null: node `{id}` is {}", status.to_public())
    }

    /// Without `outputs`: those of the nodes on which nothing depends, by node id.
    fn results(&self, scope: &Scope) -> Result<Outputs, NodeError> {
        let graph = self.plan.graph();
        let mut object = Object::new();
        for &node in &self.plan.body(scope.body).results {
            let state = scope.node(node);
            if state.status == Status::Succeeded {
                object.insert(graph.node(node).id().to_shared(), state.outputs.to_object()?)?;
            }
        }
        Ok((Value::Object(object), Vec::new()))
    }
}

fn completed(status: ExecutionStatus, error: Option<ExecutionError>) -> Event {
    Event::WorkflowCompleted {
        status,
        outputs: None,
        error,
        warnings: Vec::new(),
        not_undone: Vec::new(),
    }
}

fn outputs_error(what: &str, failure: &NodeError) -> ExecutionError {
    let mut error = error(failure.code(), format!("the outputs of the {what} failed: {failure}"));
    error.hint = failure.hint().map(str::to_owned);
    error
}

fn error(code: &str, message: impl Into<String>) -> ExecutionError {
    ExecutionError {
        code: code.to_owned(),
        message: message.into(),
        node: None,
        attempts: None,
        hint: None,
    }
}

//! How executions and rounds end.

use super::action::{Action, Timer, Turn};
use super::apply::Impossible;
use super::state::{Ending, Machine};
use super::status::{ExecutionStatus, Status};
use crate::event::{Event, ExecutionError, Instance, ScopeId};
use crate::expression::{Expression, ExpressionError, NodeSlot, Slot};
use crate::node::{CancelReason, NodeError};
use crate::plan::NodeIndex;
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

    /// Somebody, or the deadline, wants the execution to stop. What is ending already goes on
    /// ending, except that nothing starts a new round any more. Gives whether it took.
    pub(super) fn cancel(
        &mut self,
        now: Timestamp,
        event: Event,
        turn: &mut Turn,
    ) -> Result<bool, Impossible> {
        let goes_on = matches!(self.scope.ending, None | Some(Ending::NewRound));
        if self.end.is_some() || self.seq == 0 || !goes_on {
            self.stale += 1;
            return Ok(false);
        }
        self.emit(now, event, turn)?;
        self.begin_ending(now, turn)?;
        Ok(true)
    }

    pub(super) fn clear_deadline(&self, turn: &mut Turn) {
        if self.deadline().is_some() {
            turn.wish(0, Action::ClearTimer { timer: Timer::Deadline });
        }
    }

    /// The scope has begun to end: running nodes are told to stop, waiting ones stop at once.
    pub(super) fn begin_ending(
        &mut self,
        now: Timestamp,
        turn: &mut Turn,
    ) -> Result<(), Impossible> {
        if matches!(self.scope.ending, Some(Ending::Failed(_))) {
            self.clear_deadline(turn);
        }
        self.stop_waiting(now, turn)?;
        for (node, state) in (0..).zip(&self.scope.nodes) {
            if state.status == Status::Running {
                let (instance, attempt) = (self.instance(node), state.attempt);
                let reason = self.cancel_reason(node).unwrap_or(CancelReason::SiblingFailed);
                turn.wish(0, Action::Cancel { instance, attempt, reason });
            }
        }
        Ok(())
    }

    /// Nodes between two attempts have nothing to be awaited.
    pub(super) fn stop_waiting(
        &mut self,
        now: Timestamp,
        turn: &mut Turn,
    ) -> Result<(), Impossible> {
        if self.scope.waiting == 0 {
            return Ok(());
        }
        let waiting: Vec<(NodeIndex, u32)> = (0..)
            .zip(&self.scope.nodes)
            .filter(|(_, state)| state.status == Status::Backoff)
            .map(|(node, state)| (node, state.attempt))
            .collect();
        for (node, attempt) in waiting {
            let instance = self.instance(node);
            let reason = self.cancel_reason(node).unwrap_or(CancelReason::SiblingFailed);
            self.emit(now, Event::NodeCancelled { instance, reason }, turn)?;
            turn.wish(0, Action::ClearTimer { timer: Timer::Retry { instance, attempt } });
        }
        Ok(())
    }

    /// Nothing runs any more: a new round, or the end.
    pub(super) fn conclude(&mut self, now: Timestamp, turn: &mut Turn) -> Result<(), Impossible> {
        let event = match self.scope.ending {
            Some(Ending::NewRound) => {
                let (round, scope) = (self.round + 1, ScopeId(self.scope_id().0 + 1));
                return self.emit(now, Event::RoundStarted { round, scope }, turn);
            }
            Some(Ending::Failed(node)) => {
                self.completed(ExecutionStatus::Failed, Some(self.node_error(node)))
            }
            Some(Ending::Cancelled(CancelReason::ExecutionTimeout)) => {
                let message = "the execution took longer than `max_execution_time_ms`";
                self.completed(
                    ExecutionStatus::TimedOut,
                    Some(error("execution.timed_out", message)),
                )
            }
            Some(Ending::Cancelled(reason)) => {
                let message = format!("the execution was cancelled ({reason})");
                self.completed(
                    ExecutionStatus::Cancelled,
                    Some(error("execution.cancelled", message)),
                )
            }
            None => match self.outputs() {
                Ok((outputs, warnings)) => Event::WorkflowCompleted {
                    status: ExecutionStatus::Succeeded,
                    outputs: Some(outputs),
                    error: None,
                    warnings,
                },
                Err(failure) => {
                    let message = format!("the outputs of the workflow failed: {failure}");
                    let mut failure_error = error(failure.code(), message);
                    failure_error.hint = failure.hint().map(str::to_owned);
                    self.completed(ExecutionStatus::Failed, Some(failure_error))
                }
            },
        };
        let deadline_runs = self.scope.ending.is_none();
        self.emit(now, event, turn)?;
        if deadline_runs {
            self.clear_deadline(turn);
        }
        turn.wish(self.seq, Action::Finish);
        Ok(())
    }

    fn completed(&self, status: ExecutionStatus, error: Option<ExecutionError>) -> Event {
        Event::WorkflowCompleted { status, outputs: None, error, warnings: Vec::new() }
    }

    fn node_error(&self, node: NodeIndex) -> ExecutionError {
        let state = &self.scope.nodes[node as usize];
        let failure = state.error.as_ref().expect("a failed node has an error");
        ExecutionError {
            code: failure.code().to_owned(),
            message: failure.to_string(),
            node: Some(self.plan.graph().node(node).id().to_string()),
            attempts: Some(state.attempt),
            hint: failure.hint().map(str::to_owned),
        }
    }

    fn outputs(&self) -> Result<Outputs, NodeError> {
        let Some(template) = &self.plan.outputs else { return self.results() };
        let mut warnings = Vec::new();
        let value = template
            .resolve_with(&mut |expression| self.output_value(expression, &mut warnings))?;
        Ok((value, warnings))
    }

    /// The value of an expression in `outputs`. A port that is not live is undefined, so that
    /// `default` and `is defined` work; else it is null, and so is everything inside of it.
    fn output_value(
        &self,
        expression: &Expression,
        warnings: &mut Vec<String>,
    ) -> Result<Value, ExpressionError> {
        let slots = expression.slots();
        let mut values: Vec<Option<Value>> =
            slots.iter().map(|slot| self.lookup(slot, None)).collect();
        let result = expression.evaluate(&values);
        let mut is_partial = false;
        for (slot, value) in slots.iter().zip(&mut values) {
            if let (Slot::Node(node), None, Err(_)) = (slot, &value, &result) {
                warnings.push(self.null_warning(node));
                *value = Some(Value::Null);
                is_partial = true;
            }
        }
        if is_partial {
            return Ok(expression.evaluate(&values).unwrap_or_default());
        }
        result
    }

    fn null_warning(&self, slot: &NodeSlot) -> String {
        let NodeSlot { id, port, node } = slot;
        let status = self.scope.nodes[*node as usize].status;
        if status == Status::Succeeded {
            return format!("`nodes.{id}.{port}` is null: node `{id}` gave nothing on this port");
        }
        format!("`nodes.{id}.{port}` is null: node `{id}` is {}", status.to_public())
    }

    /// Without `outputs`: those of the nodes on which nothing depends, by node id.
    fn results(&self) -> Result<Outputs, NodeError> {
        let graph = self.plan.graph();
        let mut object = Object::new();
        for &node in &self.plan.results {
            let state = &self.scope.nodes[node as usize];
            if state.status == Status::Succeeded {
                object.insert(graph.node(node).id().to_shared(), state.outputs.to_object()?)?;
            }
        }
        Ok((Value::Object(object), Vec::new()))
    }

    /// The address of an instance, such as `each[3].fetch`; the node's id at the top level.
    pub fn address(&self, instance: Instance) -> String {
        self.plan.graph().node(instance.node).id().to_string()
    }
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

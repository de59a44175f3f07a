//! The next step of a control node that has scopes open, or is to open some.

use super::work::{Branches, Items, Iterations, Step, Trial, Work};
use crate::control::OnItemError;
use crate::event::{Event, ExecutionError, FailureKind, Instance, Part, ScopeEnd};
use crate::expression::truth;
use crate::machine::action::{Action, Timer, Turn};
use crate::machine::apply::Impossible;
use crate::machine::decide::Ended;
use crate::machine::lookup::{Locals, Reader};
use crate::machine::state::{Due, Machine};
use crate::machine::status::Status;
use crate::node::{CancelReason, NodeError, NodeOutput};
use crate::plan::ControlPlan;
use crate::time::Timestamp;
use crate::value::{Array, Object, Value};

/// What a control node does next.
enum Next {
    /// It waits for its scopes.
    Wait,
    /// It opens a scope.
    Open(Part),
    /// It has succeeded.
    Succeed(NodeOutput),
    /// It has failed.
    Fail(NodeError),
    /// It was told to stop, and has.
    Stop(CancelReason),
}

impl Machine {
    /// Takes the next step of a control node, if it is due.
    pub(in crate::machine) fn advance(
        &mut self,
        now: Timestamp,
        instance: Instance,
        turn: &mut Turn,
    ) -> Result<(), Impossible> {
        let is_under_way = self
            .find(instance)
            .is_some_and(|node| node.status == Status::Running && node.control.is_some());
        if !is_under_way {
            return Ok(());
        }
        match self.next_step(instance) {
            Next::Wait => Ok(()),
            Next::Open(part) => self.open(now, instance, part, turn),
            Next::Succeed(outputs) => {
                self.clear_limit(instance, turn);
                let attempt = self.node(instance).attempt;
                self.control_succeeded(now, instance, attempt, outputs, turn)
            }
            Next::Fail(error) => {
                self.clear_limit(instance, turn);
                self.control_failed(now, instance, FailureKind::Failed, error, turn)
            }
            Next::Stop(CancelReason::AttemptTimeout) => {
                let message = "the node took longer than its `timeout_ms`";
                let error = NodeError::new("node.timed_out", message);
                self.control_failed(now, instance, FailureKind::TimedOut, error, turn)
            }
            Next::Stop(reason) => self.emit(now, Event::NodeCancelled { instance, reason }, turn),
        }
    }

    fn open(
        &mut self,
        now: Timestamp,
        instance: Instance,
        part: Part,
        turn: &mut Turn,
    ) -> Result<(), Impossible> {
        if part == Part::Finally && self.root_scope().ending.is_some() {
            self.begin_cleanup(now, None, turn)?;
        }
        let scope = self.scopes.next_id();
        self.emit(now, Event::ScopeOpened { scope, opener: instance, part }, turn)?;
        // There may be another one to open.
        self.due.push_back(Due::Advance(instance));
        Ok(())
    }

    fn control_failed(
        &mut self,
        now: Timestamp,
        instance: Instance,
        kind: FailureKind,
        error: NodeError,
        turn: &mut Turn,
    ) -> Result<(), Impossible> {
        let state = self.node(instance);
        let (attempt, started_at) = (state.attempt, state.started_at);
        let ended = Ended { instance, attempt, started_at, jitter: 0.0 };
        self.attempt_failed(now, &ended, kind, error, turn)
    }

    /// When a control node has taken as long as it may.
    pub(in crate::machine) fn limit(&self, instance: Instance) -> Option<Timestamp> {
        let timeout = self.plan_node(instance).timeout_ms()?;
        Some(self.node(instance).started_at.after(std::time::Duration::from_millis(timeout)))
    }

    /// Whether a control node has a limit that would still end something: not when it is decided how
    /// it ends, and only awaits what it has open.
    pub(in crate::machine) fn limit_runs(&self, instance: Instance) -> bool {
        let control = self.node(instance).control.as_deref();
        self.plan_node(instance).timeout_ms().is_some()
            && self.cancel_reason(instance).is_none()
            && control.is_some_and(|control| !control.is_decided())
    }

    fn clear_limit(&self, instance: Instance, turn: &mut Turn) {
        if self.limit_runs(instance) {
            let attempt = self.node(instance).attempt;
            let timer = Timer::Limit { instance, attempt };
            turn.wish(0, Action::ClearTimer { timer });
        }
    }

    /// A control node has taken as long as it may.
    pub(in crate::machine) fn limit_reached(
        &mut self,
        now: Timestamp,
        instance: Instance,
        attempt: u32,
        turn: &mut Turn,
    ) -> Result<(), Impossible> {
        let is_current = self.end.is_none()
            && self.find(instance).is_some_and(|node| {
                node.status == Status::Running && node.attempt == attempt && node.control.is_some()
            })
            && self.limit_runs(instance);
        if !is_current {
            self.stale += 1;
            return Ok(());
        }
        self.cancel_control(now, instance, CancelReason::AttemptTimeout, turn)
    }

    fn next_step(&self, instance: Instance) -> Next {
        let state = self.node(instance);
        let (Some(control), Some(plan)) =
            (state.control.as_deref(), self.plan_node(instance).control())
        else {
            return Next::Wait;
        };
        let stop = self.cancel_reason(instance);
        if let (Work::Try(trial), ControlPlan::Try { catch, finally, .. }) = (&control.work, plan) {
            // Once cleaning up is told to stop, none of it begins.
            let has_finally = finally.is_some() && !self.cleanup_aborted;
            return next_of_try(trial, catch.is_some(), has_finally, stop);
        }
        if !control.open.is_empty() && (stop.is_some() || control.failure.is_some()) {
            return Next::Wait;
        }
        if let Some(reason) = stop {
            return Next::Stop(reason);
        }
        if let Some(failure) = &control.failure {
            return Next::Fail(failed(failure));
        }
        let open = control.open.len();
        match &control.work {
            Work::ForEach(items) => next_of_items(items, open),
            Work::Loop(_) if open > 0 => Next::Wait,
            Work::Loop(iterations) => {
                self.next_of_loop(instance, iterations, plan).unwrap_or_else(Next::Fail)
            }
            Work::Race(branches) => next_of_race(branches, open, plan),
            Work::Call { output: Some(output), .. } => {
                Next::Succeed(NodeOutput::of("output", output.clone()))
            }
            Work::Call { output: None, .. } if open > 0 => Next::Wait,
            Work::Call { output: None, .. } => Next::Open(Part::Workflow),
            Work::Try(_) | Work::Wait { .. } | Work::Over => Next::Wait,
        }
    }

    fn next_of_loop(
        &self,
        instance: Instance,
        iterations: &Iterations,
        plan: &ControlPlan,
    ) -> Result<Next, NodeError> {
        let ControlPlan::Loop { before, after, .. } = plan else { return Ok(Next::Wait) };
        let Iterations { state, max_iterations, opened } = iterations;
        let holds = |name: &str, condition, index: u32| {
            let locals = Locals { state, index };
            let reader = Reader::of_control(self.scopes.get(instance.scope), instance, &locals);
            truth(name, &self.evaluate_for(condition, reader)?)
        };
        let mut is_over = false;
        if let (Some(after), Some(last)) = (after, opened.checked_sub(1)) {
            is_over = holds("until", after, last)?;
        }
        if let (Some(before), false) = (before, is_over) {
            is_over = !holds("while", before, *opened)?;
        }
        if is_over {
            let outputs = NodeOutput::of("state", state.clone());
            return Ok(Next::Succeed(outputs.with("iterations", u64::from(*opened))));
        }
        if opened >= max_iterations {
            let message = format!("the loop is not over after {max_iterations} iterations");
            return Err(NodeError::new("loop.limit", message)
                .with_hint("look at its condition, or raise `max_iterations`"));
        }
        Ok(Next::Open(Part::Iteration(*opened)))
    }
}

fn next_of_items(work: &Items, open: usize) -> Next {
    let has_more = (work.next as usize) < work.items.len();
    if has_more && open < work.max_concurrency as usize {
        return Next::Open(Part::Item(work.next));
    }
    if has_more || open > 0 {
        return Next::Wait;
    }
    let results = match work.on_item_error {
        OnItemError::Skip => Array::from_values(work.results.iter().flatten().cloned()),
        OnItemError::Fail | OnItemError::Collect => {
            Array::from_values(work.results.iter().map(|result| result.clone().unwrap_or_default()))
        }
    };
    let mut failures: Vec<&(u32, ExecutionError)> = work.failures.iter().collect();
    failures.sort_by_key(|(index, _)| *index);
    let errors = Array::from_values(failures.into_iter().map(|(index, error)| {
        let mut entries = vec![("index", Value::from(*index))];
        entries.extend(error_entries(error));
        Value::Object(Object::from_entries(entries).expect("it holds only scalars"))
    }));
    match (results, errors) {
        (Ok(results), Ok(errors)) => Next::Succeed(
            NodeOutput::of("results", results)
                .with("errors", errors)
                .with("count", work.items.len() as u64),
        ),
        (Err(error), _) | (_, Err(error)) => Next::Fail(error.into()),
    }
}

fn next_of_race(work: &Branches, open: usize, plan: &ControlPlan) -> Next {
    let ControlPlan::Race(bodies) = plan else { return Next::Wait };
    if let Some((index, output)) = &work.winner {
        return if open > 0 {
            Next::Wait
        } else {
            Next::Succeed(NodeOutput::of("output", output.clone()).with("winner", *index))
        };
    }
    if (work.opened as usize) < bodies.len() {
        return Next::Open(Part::Branch(work.opened));
    }
    if open > 0 {
        return Next::Wait;
    }
    let mut failures: Vec<&(u32, ExecutionError)> = work.failures.iter().collect();
    failures.sort_by_key(|(index, _)| *index);
    let causes: Vec<String> =
        failures.iter().map(|(index, error)| format!("branch {index}: {error}")).collect();
    let message = format!("every branch failed: {}", causes.join("; "));
    Next::Fail(NodeError::new("race.all_failed", message))
}

fn next_of_try(
    trial: &Trial,
    has_catch: bool,
    has_finally: bool,
    stop: Option<CancelReason>,
) -> Next {
    match (&trial.body, stop) {
        (Step::NotYet, Some(reason)) => return Next::Stop(reason),
        (Step::NotYet, None) => return Next::Open(Part::Body),
        (Step::Open, _) => return Next::Wait,
        (Step::Ended(_), _) => {}
    }
    // A cancel does not enter `catch`.
    let is_caught = matches!(trial.body, Step::Ended(ScopeEnd::Failed(_))) && has_catch;
    match (&trial.catch, stop) {
        (Step::NotYet, None) if is_caught => return Next::Open(Part::Catch),
        (Step::Open, _) => return Next::Wait,
        (Step::NotYet | Step::Ended(_), _) => {}
    }
    match &trial.finally {
        Step::NotYet if has_finally => return Next::Open(Part::Finally),
        Step::Open => return Next::Wait,
        Step::NotYet | Step::Ended(_) => {}
    }
    if let Some(reason) = stop {
        return Next::Stop(reason);
    }
    let succeed = |output: &Value, caught: bool| {
        Next::Succeed(NodeOutput::of("output", output.clone()).with("caught", caught))
    };
    if let Some(error) = trial.failure() {
        return Next::Fail(failed(error));
    }
    match (&trial.catch, &trial.body) {
        (Step::Ended(ScopeEnd::Succeeded(output)), _) => succeed(output, true),
        (Step::NotYet, Step::Ended(ScopeEnd::Succeeded(output))) => succeed(output, false),
        // Only what is told to stop ends so.
        (_, _) => Next::Stop(CancelReason::Requested),
    }
}

/// The failure of what is inside of a control node is its own.
fn failed(failure: &ExecutionError) -> NodeError {
    let place = failure.node.as_ref().map(|node| format!("node `{node}` failed: "));
    let message = format!("{}{}", place.unwrap_or_default(), failure.message);
    let error = NodeError::new(failure.code.clone(), message);
    match &failure.hint {
        Some(hint) => error.with_hint(hint.clone()),
        None => error,
    }
}

/// An error as expressions see it.
pub(in crate::machine) fn error_entries(error: &ExecutionError) -> Vec<(&'static str, Value)> {
    let node = error.node.as_deref().map_or(Value::Null, Value::from);
    vec![
        ("code", Value::from(error.code.clone())),
        ("message", Value::from(error.message.clone())),
        ("node", node),
        ("attempts", error.attempts.map_or(Value::Null, Value::from)),
    ]
}

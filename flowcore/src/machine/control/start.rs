//! How a control node starts: what may hold expressions is evaluated, once.

use std::sync::Arc;

use serde::de::DeserializeOwned;

use crate::control::{CallConfig, ForEachConfig, LoopConfig, StopConfig};
use crate::event::{Event, Instance, Opens};
use crate::expression::truth;
use crate::machine::action::{Action, Timer, Turn};
use crate::machine::apply::Impossible;
use crate::machine::prepared::Prepared;
use crate::machine::state::{Due, Machine};
use crate::node::{Hidden, NodeError, NodeOutput, PortName};
use crate::plan::{ControlPlan, MAX_NESTING};
use crate::time::Timestamp;
use crate::value::{MASK, Object, Value};
use crate::workflow::resolve_inputs;

/// The most items of one `control.for_each`.
const MAX_ITEMS: usize = 10_000;

/// What the start of a control node gives.
pub(super) enum Started {
    /// Scopes follow.
    Opens(Opens),
    /// It has succeeded already.
    Done(NodeOutput),
    /// The execution ends.
    Stop(Option<Arc<str>>),
    /// It waits.
    Waits(super::wait::Waits),
}

impl Machine {
    /// Starts the control node at the head of the queue.
    pub(in crate::machine) fn start_control(
        &mut self,
        now: Timestamp,
        instance: Instance,
        turn: &mut Turn,
    ) -> Result<(), Impossible> {
        let attempt = self.node(instance).attempt + 1;
        match self.started(now, instance) {
            Ok(Started::Opens(opens)) => {
                let opens = Some(Box::new(opens));
                self.emit(now, Event::NodeStarted { instance, attempt, opens }, turn)?;
                if let Some(at) = self.limit(instance) {
                    let timer = Timer::Limit { instance, attempt };
                    turn.wish(self.seq, Action::SetTimer { timer, at });
                }
                self.due.push_back(Due::Advance(instance));
                Ok(())
            }
            Ok(Started::Done(outputs)) => {
                self.control_succeeded(now, instance, attempt, outputs, turn)
            }
            Ok(Started::Stop(reason)) => {
                self.emit(now, Event::StopRequested { instance, reason }, turn)?;
                self.begin_ending(now, turn)
            }
            Ok(Started::Waits(waits)) => self.begin_wait(now, instance, attempt, waits, turn),
            Err(error) => self.fail_before_start(now, instance, error, turn),
        }
    }

    /// A control node has come to its end well.
    pub(super) fn control_succeeded(
        &mut self,
        now: Timestamp,
        instance: Instance,
        attempt: u32,
        outputs: NodeOutput,
        turn: &mut Turn,
    ) -> Result<(), Impossible> {
        let state = self.node(instance);
        let started_at = if state.attempt == 0 { now } else { state.started_at };
        let undo = self.undo_input(instance, &outputs);
        let state_writes = Object::new();
        let event = Event::NodeCompleted {
            instance,
            attempt,
            outputs,
            state_writes,
            started_at,
            cache: None,
            kept: false,
            changes: None,
            undo,
        };
        self.emit(now, event, turn)
    }

    fn started(&self, now: Timestamp, instance: Instance) -> Result<Started, NodeError> {
        let Some(plan) = self.plan_node(instance).control() else {
            return Err(NodeError::new(
                "node.wrong_kind",
                "only Flow's own nodes are control nodes",
            ));
        };
        let prepared = self.prepare(instance, now)?;
        let started = self.started_with(now, instance, plan, &prepared);
        started.map_err(|error| Hidden::of_prepared(&prepared).hide_in(error))
    }

    fn started_with(
        &self,
        now: Timestamp,
        instance: Instance,
        plan: &ControlPlan,
        prepared: &Prepared,
    ) -> Result<Started, NodeError> {
        match plan {
            ControlPlan::If(condition) => {
                let holds = truth("condition", &self.evaluate(condition, instance)?)?;
                let port = if holds { "true" } else { "false" };
                Ok(Started::Done(passed_on(prepared, port)))
            }
            ControlPlan::Switch(cases) => {
                for (port, condition) in cases {
                    if truth("when", &self.evaluate(condition, instance)?)? {
                        return Ok(Started::Done(passed_on(prepared, port.clone())));
                    }
                }
                Ok(Started::Done(passed_on(prepared, "default")))
            }
            ControlPlan::ForEach(_) => self.start_items(instance, prepared).map(Started::Opens),
            ControlPlan::Loop { .. } => {
                let config: LoopConfig = self.config(instance, prepared)?;
                let state = first_input(prepared);
                let max_iterations = config.max_iterations.clamp(1, 100_000);
                Ok(Started::Opens(Opens::Loop { state, max_iterations }))
            }
            ControlPlan::Race(_) => Ok(Started::Opens(Opens::Race)),
            ControlPlan::Try { .. } => Ok(Started::Opens(Opens::Try)),
            ControlPlan::Call(body) => {
                let inputs = self.call_inputs(instance, *body, prepared)?;
                Ok(Started::Opens(Opens::Call { inputs }))
            }
            ControlPlan::Stop => {
                let config: StopConfig = self.config(instance, prepared)?;
                let reason = self.config_object(instance, prepared).get("reason");
                // Everybody who watches reads it.
                let is_secret = reason.is_some_and(Value::is_tainted);
                let reason =
                    config.reason.map(|reason| if is_secret { MASK.into() } else { reason });
                Ok(Started::Stop(reason.map(Arc::from)))
            }
            ControlPlan::Wait { kind, name } => {
                self.waits(now, instance, *kind, name, prepared).map(Started::Waits)
            }
        }
    }

    fn start_items(&self, instance: Instance, prepared: &Prepared) -> Result<Opens, NodeError> {
        let config: ForEachConfig = self.config(instance, prepared)?;
        let items = first_input(prepared);
        let is_tainted = items.is_tainted();
        let Some(items) = items.untainted().as_array() else {
            return Err(NodeError::invalid_input("items", "an array", items.kind()));
        };
        if items.len() > MAX_ITEMS {
            let message = format!("there are {} items", items.len());
            return Err(NodeError::new("for_each.too_many_items", message)
                .with_hint(format!("a `control.for_each` takes at most {MAX_ITEMS}")));
        }
        let items = if is_tainted {
            let tainted = items.iter().map(|item| item.clone().tainted());
            crate::value::Array::from_values(tainted)?
        } else {
            items.clone()
        };
        let max_concurrency = config.max_concurrency.max(1);
        Ok(Opens::ForEach { items, max_concurrency, on_item_error: config.on_item_error })
    }

    fn call_inputs(
        &self,
        instance: Instance,
        body: crate::plan::BodyIndex,
        prepared: &Prepared,
    ) -> Result<Object, NodeError> {
        if usize::from(self.scopes.get(instance.scope).depth) >= MAX_NESTING {
            let message = format!("workflows call each other more than {MAX_NESTING} deep");
            return Err(NodeError::new("call.too_deep", message)
                .with_hint("a workflow that calls itself needs a `when` that ends it"));
        }
        // Read as a whole, so that a config that breaks its schema is found.
        let _: CallConfig = self.config(instance, prepared)?;
        let given = self.config_object(instance, prepared).get("inputs");
        let given = given.and_then(|inputs| inputs.untainted().as_object().cloned());
        let called = &self.plan.body(body).workflow;
        resolve_inputs(called, given.unwrap_or_default()).map_err(|problems| {
            let message = format!("the inputs do not fit the workflow: {problems}");
            NodeError::new("call.invalid_inputs", message)
        })
    }

    pub(super) fn config_object<'a>(
        &'a self,
        instance: Instance,
        prepared: &'a Prepared,
    ) -> &'a Object {
        let plain = || self.plan.config(self.plan_node(instance)).object();
        prepared.config().unwrap_or_else(plain)
    }

    pub(super) fn config<T: DeserializeOwned>(
        &self,
        instance: Instance,
        prepared: &Prepared,
    ) -> Result<T, NodeError> {
        let config = self.config_object(instance, prepared);
        config.to_typed().map_err(|error| NodeError::config(error.to_string()))
    }
}

/// The value of the first input port.
pub(super) fn first_input(prepared: &Prepared) -> Value {
    prepared.inputs().first().cloned().flatten().unwrap_or_default()
}

/// The value of the port `input` on an output port.
fn passed_on(prepared: &Prepared, port: impl Into<PortName>) -> NodeOutput {
    NodeOutput::of(port, first_input(prepared))
}

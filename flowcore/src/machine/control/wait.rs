//! Nodes that wait: for a time, a signal, or an approval.

use std::sync::Arc;
use std::time::Duration;

use super::start::first_input;
use crate::control::{ApprovalConfig, ControlKind, DelayConfig, SignalConfig, UntilConfig};
use crate::event::{Event, Instance, Wait};
use crate::machine::action::{Action, Timer, Turn};
use crate::machine::apply::Impossible;
use crate::machine::prepared::Prepared;
use crate::machine::state::{Machine, Signal};
use crate::machine::status::Status;
use crate::node::{NodeError, NodeOutput};
use crate::plan::{ControlPlan, NodeIndex, Plan};
use crate::time::Timestamp;
use crate::value::{Object, Value};

/// The most signals that are kept for waiters to come; more are dropped, as are those of a client
/// that repeats itself for ever. Who sends them is told so: see [`Machine::kept_signals`].
pub const MAX_SIGNALS: usize = 1_000;

/// A node that waits for a signal or an approval.
#[derive(Debug, Clone, PartialEq)]
pub struct Waiter {
    node: NodeIndex,
    wait: Wait,
}

impl Waiter {
    /// Whether this signal wakes it.
    pub fn takes(&self, plan: &Plan, name: &str, key: Option<&str>, payload: &Value) -> bool {
        is_for(&self.wait, name, key) && plan.payload_problem(self.node, payload).is_none()
    }
}

/// What a node is to wait for.
pub(super) struct Waits {
    wait: Wait,
    until: Option<Timestamp>,
}

impl Machine {
    /// How many signals are kept for waiters to come: at most [`MAX_SIGNALS`].
    pub fn kept_signals(&self) -> usize {
        self.signals.len()
    }

    /// Those who wait for a signal or an approval: each takes one.
    pub fn waiters(&self) -> Vec<Waiter> {
        let waiter = |(_, instance, wait): (u64, Instance, &Wait)| match wait {
            Wait::Time | Wait::RateLimit { .. } => None,
            Wait::Signal { .. } | Wait::Approval { .. } => {
                Some(Waiter { node: instance.node, wait: wait.clone() })
            }
        };
        self.waiting().filter_map(waiter).collect()
    }

    pub(super) fn waits(
        &self,
        now: Timestamp,
        instance: Instance,
        kind: ControlKind,
        name: &Arc<str>,
        prepared: &Prepared,
    ) -> Result<Waits, NodeError> {
        let (name, after) = (name.clone(), |millis| now.after(Duration::from_millis(millis)));
        // Who sends a signal has to know the key, and who watches reads it.
        let key = self.config_object(instance, prepared).get("key");
        if key.is_some_and(Value::is_tainted) {
            return Err(NodeError::config("the `key` of a wait cannot come from a secret")
                .with_hint("everybody who answers has to know it: use an id"));
        }
        match kind {
            ControlKind::Delay => {
                let config: DelayConfig = self.config(instance, prepared)?;
                Ok(Waits { wait: Wait::Time, until: Some(after(config.delay_ms)) })
            }
            ControlKind::Until => {
                let config: UntilConfig = self.config(instance, prepared)?;
                Ok(Waits { wait: Wait::Time, until: Some(config.moment(now)?) })
            }
            ControlKind::Approval => {
                let config: ApprovalConfig = self.config(instance, prepared)?;
                let message = prepared
                    .config()
                    .or_else(|| Some(self.plan.config(self.plan_node(instance)).object()));
                let message = message.and_then(|config| config.get("message").cloned());
                let wait = Wait::Approval { name, key: config.key.map(Arc::from), message };
                Ok(Waits { wait, until: config.wait_ms.map(after) })
            }
            ControlKind::Signal
            | ControlKind::If
            | ControlKind::Switch
            | ControlKind::ForEach
            | ControlKind::Loop
            | ControlKind::Race
            | ControlKind::Try
            | ControlKind::Stop
            | ControlKind::Call => {
                let config: SignalConfig = self.config(instance, prepared)?;
                let wait = Wait::Signal { name, key: config.key.map(Arc::from) };
                Ok(Waits { wait, until: config.wait_ms.map(after) })
            }
        }
    }

    pub(super) fn begin_wait(
        &mut self,
        now: Timestamp,
        instance: Instance,
        attempt: u32,
        waits: Waits,
        turn: &mut Turn,
    ) -> Result<(), Impossible> {
        let Waits { wait, until } = waits;
        self.emit(now, Event::NodeWaiting { instance, attempt, until, wait }, turn)?;
        if let Some(signal) = self.kept_for(instance) {
            return self.wake(now, instance, signal, turn);
        }
        match until {
            Some(at) if at <= now => self.wait_ended(now, instance, turn),
            Some(at) => {
                let timer = Timer::Wait { instance };
                turn.wish(self.seq, Action::SetTimer { timer, at });
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// The first kept signal that the node waits for.
    fn kept_for(&self, instance: Instance) -> Option<Signal> {
        let (wait, _) = self.node(instance).control.as_deref()?.wait()?;
        let fits = |signal: &&Signal| {
            is_for(wait, &signal.name, signal.key.as_deref())
                && self.plan.payload_problem(instance.node, &signal.payload).is_none()
        };
        self.signals.iter().find(fits).cloned()
    }

    /// A signal came: it wakes the node that has waited longest for it, or is kept.
    pub(in crate::machine) fn signal(
        &mut self,
        now: Timestamp,
        name: Arc<str>,
        key: Option<Arc<str>>,
        payload: Value,
        turn: &mut Turn,
    ) -> Result<(), Impossible> {
        if self.end.is_some() || self.seq == 0 {
            self.stale += 1;
            return Ok(());
        }
        let signal = Signal { name, key, payload };
        if let Some(waiter) = self.waiter(&signal) {
            if let Some(timer) = self.own_timer(waiter) {
                turn.wish(0, Action::ClearTimer { timer });
            }
            return self.wake(now, waiter, signal, turn);
        }
        if self.signals.len() >= MAX_SIGNALS {
            self.stale += 1;
            return Ok(());
        }
        let Signal { name, key, payload } = signal;
        self.emit(now, Event::SignalReceived { instance: None, name, key, payload }, turn)
    }

    fn waiter(&self, signal: &Signal) -> Option<Instance> {
        let fits = |wait: &Wait, node| {
            is_for(wait, &signal.name, signal.key.as_deref())
                && self.plan.payload_problem(node, &signal.payload).is_none()
        };
        let waiting = self.waiting().filter(|(_, instance, wait)| fits(wait, instance.node));
        waiting.map(|(since, instance, _)| (since, instance)).min().map(|(_, instance)| instance)
    }

    /// The nodes that wait: since when, and for what.
    fn waiting(&self) -> impl Iterator<Item = (u64, Instance, &Wait)> {
        let scopes = self.scopes.iter().filter(|scope| scope.waiting > 0);
        scopes.flat_map(|scope| {
            scope.nodes().filter_map(move |(node, state)| {
                let (wait, _) = state.control.as_deref()?.wait()?;
                let waits = state.status == Status::Waiting;
                waits.then(|| (state.end_seq, scope.instance(node), wait))
            })
        })
    }

    fn wake(
        &mut self,
        now: Timestamp,
        instance: Instance,
        signal: Signal,
        turn: &mut Turn,
    ) -> Result<(), Impossible> {
        let Signal { name, key, payload } = signal;
        let event = Event::SignalReceived { instance: Some(instance), name, key, payload };
        self.emit(now, event, turn)?;
        self.woken(now, instance, turn)
    }

    /// The signal of a node has come: it ends with that.
    fn woken(
        &mut self,
        now: Timestamp,
        instance: Instance,
        turn: &mut Turn,
    ) -> Result<(), Impossible> {
        let control = self.node(instance).control.as_deref();
        let Some(((wait, _), payload)) = control.and_then(|it| it.wait().zip(it.payload())) else {
            return Ok(());
        };
        let outputs = match wait {
            Wait::Approval { .. } => approval(payload),
            Wait::Signal { .. } | Wait::Time | Wait::RateLimit { .. } => of_signal(payload),
        };
        self.waited(now, instance, outputs, turn)
    }

    /// After a fold: what was kept of a wait may be its begin, and not that the signal for it was
    /// there already; or that the signal came, and not what followed.
    pub(in crate::machine) fn wake_the_waiting(
        &mut self,
        now: Timestamp,
        turn: &mut Turn,
    ) -> Result<(), Impossible> {
        let scopes = self.scopes.iter().filter(|scope| scope.waiting > 0);
        let waiting = scopes.flat_map(|scope| {
            let waits = scope.nodes().filter(|(_, state)| state.status == Status::Waiting);
            waits.map(|(node, state)| (state.end_seq, scope.instance(node)))
        });
        let mut waiting: Vec<(u64, Instance)> = waiting.collect();
        // The one that has waited longest comes first.
        waiting.sort_unstable();
        for (_, instance) in waiting {
            self.woken(now, instance, turn)?;
            if self.node(instance).status == Status::Waiting
                && let Some(signal) = self.kept_for(instance)
            {
                self.wake(now, instance, signal, turn)?;
            }
        }
        Ok(())
    }

    fn waited(
        &mut self,
        now: Timestamp,
        instance: Instance,
        outputs: NodeOutput,
        turn: &mut Turn,
    ) -> Result<(), Impossible> {
        let attempt = self.node(instance).attempt;
        self.control_succeeded(now, instance, attempt, outputs, turn)
    }

    /// A node has waited long enough.
    pub(in crate::machine) fn wait_ended(
        &mut self,
        now: Timestamp,
        instance: Instance,
        turn: &mut Turn,
    ) -> Result<(), Impossible> {
        let waits = self.find(instance).is_some_and(|node| node.status == Status::Waiting);
        if !waits || self.end.is_some() {
            self.stale += 1;
            return Ok(());
        }
        let outputs = self.prepare(instance, now).map(|prepared| {
            let state = self.node(instance);
            let until = state.ended_at;
            match self.plan_node(instance).control() {
                Some(ControlPlan::Wait { kind: ControlKind::Delay, .. }) => {
                    let waited = until.since(state.started_at).as_millis();
                    NodeOutput::of("output", first_input(&prepared))
                        .with("waited_ms", u64::try_from(waited).unwrap_or(u64::MAX))
                }
                Some(ControlPlan::Wait { kind: ControlKind::Until, .. }) => {
                    NodeOutput::of("output", first_input(&prepared)).with("at", until.to_string())
                }
                Some(_) | None => NodeOutput::of("timed_out", true),
            }
        });
        match outputs {
            Ok(outputs) => self.waited(now, instance, outputs, turn),
            Err(error) => self.fail_before_start(now, instance, error, turn),
        }
    }
}

fn is_for(wait: &Wait, name: &str, key: Option<&str>) -> bool {
    match wait {
        Wait::Time | Wait::RateLimit { .. } => false,
        Wait::Signal { name: waited, key: by } | Wait::Approval { name: waited, key: by, .. } => {
            **waited == *name && by.as_deref() == key
        }
    }
}

fn of_signal(payload: &Value) -> NodeOutput {
    NodeOutput::of("payload", payload.clone())
}

/// Who approved or rejected, and why.
fn approval(payload: &Value) -> NodeOutput {
    let approved = payload.get("approved").and_then(Value::as_bool) == Some(true);
    let field = |name: &'static str| (name, payload.get(name).cloned().unwrap_or_default());
    let answer = Object::from_entries([field("by"), field("reason")]).unwrap_or_default();
    NodeOutput::of(if approved { "approved" } else { "rejected" }, answer)
}

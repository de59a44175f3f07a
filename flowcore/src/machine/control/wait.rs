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
use crate::plan::ControlPlan;
use crate::time::Timestamp;
use crate::value::{Object, Value};

/// The most signals that are kept for waiters to come; more are dropped, as are those of a client
/// that repeats itself for ever.
const MAX_SIGNALS: usize = 1_000;

/// What a node is to wait for.
pub(super) struct Waits {
    wait: Wait,
    until: Option<Timestamp>,
}

impl Machine {
    pub(super) fn waits(
        &self,
        now: Timestamp,
        instance: Instance,
        kind: ControlKind,
        name: &Arc<str>,
        prepared: &Prepared,
    ) -> Result<Waits, NodeError> {
        let (name, after) = (name.clone(), |millis| now.after(Duration::from_millis(millis)));
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

    /// After a fold: wakes those that began to wait for a signal that was kept, where the wake itself
    /// was not written any more.
    pub(in crate::machine) fn wake_by_kept(
        &mut self,
        now: Timestamp,
        turn: &mut Turn,
    ) -> Result<(), Impossible> {
        while let Some((instance, signal)) = self.wakeable() {
            self.wake(now, instance, signal, turn)?;
        }
        Ok(())
    }

    /// The node that has waited longest of those whose signal is kept.
    fn wakeable(&self) -> Option<(Instance, Signal)> {
        if self.signals.is_empty() {
            return None;
        }
        let scopes = self.scopes.iter().filter(|scope| scope.waiting > 0);
        let waiting = scopes.flat_map(|scope| {
            let waiting = scope.nodes().filter(|(_, state)| state.status == Status::Waiting);
            waiting.map(|(node, state)| (state.end_seq, scope.instance(node)))
        });
        let found = waiting.filter_map(|(seq, at)| Some((seq, at, self.kept_for(at)?)));
        found.min_by_key(|(seq, ..)| *seq).map(|(_, instance, signal)| (instance, signal))
    }

    /// The first kept signal that the node waits for.
    fn kept_for(&self, instance: Instance) -> Option<Signal> {
        let (wait, _) = self.node(instance).control.as_deref()?.wait()?;
        let fits = |signal: &&Signal| {
            is_for(wait, signal)
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
        let scopes = self.scopes.iter().filter(|scope| scope.waiting > 0);
        let waiting = scopes.flat_map(|scope| {
            scope.nodes().filter_map(move |(node, state)| {
                let (wait, _) = state.control.as_deref()?.wait()?;
                let waits = state.status == Status::Waiting
                    && is_for(wait, signal)
                    && self.plan.payload_problem(node, &signal.payload).is_none();
                waits.then_some((state.end_seq, scope.instance(node)))
            })
        });
        waiting.min().map(|(_, instance)| instance)
    }

    fn wake(
        &mut self,
        now: Timestamp,
        instance: Instance,
        signal: Signal,
        turn: &mut Turn,
    ) -> Result<(), Impossible> {
        let Signal { name, key, payload } = signal;
        let is_approval = matches!(
            self.node(instance).control.as_deref().and_then(|control| control.wait()),
            Some((Wait::Approval { .. }, _))
        );
        let outputs = if is_approval { approval(&payload) } else { of_signal(&payload) };
        let event = Event::SignalReceived { instance: Some(instance), name, key, payload };
        self.emit(now, event, turn)?;
        self.waited(now, instance, outputs, turn)
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

fn is_for(wait: &Wait, signal: &Signal) -> bool {
    match wait {
        Wait::Time | Wait::RateLimit { .. } => false,
        Wait::Signal { name, key } | Wait::Approval { name, key, .. } => {
            *name == signal.name && *key == signal.key
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

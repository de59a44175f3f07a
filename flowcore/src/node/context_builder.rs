//! Contexts made by hand, for testing nodes without a runtime.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use uuid::Uuid;

use super::context::{ExecutionScope, Inputs, NodeContext, Origin, Secrets};
use super::{AttemptSignals, EventSink, NodeDescriptor, Policy, PortName};
use crate::id::ExecutionId;
use crate::machine::Prepared;
use crate::plan::Plan;
use crate::time::{Clock, Timestamp};
use crate::trace::{ExecutionTrace, TraceContext};
use crate::value::{Object, Value};

/// Makes a [`NodeContext`] by hand, for testing a node without a runtime.
///
/// Nothing outside is allowed unless a policy is given, and time stands still.
#[derive(Default)]
pub struct ContextBuilder {
    inputs: Vec<(PortName, Value)>,
    config: Object,
    policy: Option<Policy>,
    secrets: Vec<(String, Value)>,
    clock: Option<Arc<dyn Clock>>,
    sink: Option<Arc<dyn EventSink>>,
    signals: Option<Arc<AttemptSignals>>,
    attempt: Option<u32>,
    origin: Origin,
    caller: Option<TraceContext>,
}

impl ContextBuilder {
    /// Puts a value on an input port.
    #[must_use]
    pub fn input(mut self, port: impl Into<PortName>, value: impl Into<Value>) -> Self {
        self.inputs.push((port.into(), value.into()));
        self
    }

    /// The node's config.
    #[must_use]
    pub fn config(mut self, config: Object) -> Self {
        self.config = config;
        self
    }

    /// Splits a config as the engine does: what names an input port of the descriptor goes to that
    /// port, the rest is the config.
    #[must_use]
    pub fn config_for(mut self, descriptor: &NodeDescriptor, config: &Object) -> Self {
        let mut rest = Object::new();
        for (key, value) in config.iter() {
            if descriptor.input_port(key).is_none() {
                rest.insert(key.clone(), value.clone()).expect("it was in an object already");
            } else if !self.inputs.iter().any(|(name, _)| name.as_str() == &**key) {
                self.inputs.push((PortName::from(key.clone()), value.clone()));
            }
        }
        self.config = rest;
        self
    }

    /// What the attempt may touch.
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = Some(policy);
        self
    }

    /// Adds a secret.
    #[must_use]
    pub fn secret(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.secrets.push((name.into(), value.into()));
        self
    }

    /// Where time comes from.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Where node events go.
    #[must_use]
    pub fn sink(mut self, sink: Arc<dyn EventSink>) -> Self {
        self.sink = Some(sink);
        self
    }

    /// How a test reaches the attempt; replaces [`ContextBuilder::sink`].
    #[must_use]
    pub fn signals(mut self, signals: Arc<AttemptSignals>) -> Self {
        self.signals = Some(signals);
        self
    }

    /// Where the execution belongs; the default project, and nothing led to it, unless said otherwise.
    #[must_use]
    pub fn origin(mut self, origin: Origin) -> Self {
        self.origin = origin;
        self
    }

    /// Which attempt it is; 1 unless said otherwise.
    #[must_use]
    pub fn attempt(mut self, attempt: u32) -> Self {
        self.attempt = Some(attempt);
        self
    }

    /// The span that the execution was started in. Spans of its own are made of it, too.
    #[must_use]
    pub fn caller(mut self, caller: TraceContext) -> Self {
        self.caller = Some(caller);
        self
    }

    /// The context.
    pub fn build(self) -> NodeContext {
        let (names, inputs): (Vec<_>, Inputs) =
            self.inputs.into_iter().map(|(name, value)| (name, Some(value))).unzip();
        let execution_id = ExecutionId::from_uuid(Uuid::nil());
        let caller = self.caller;
        let execution = ExecutionScope {
            execution_id,
            origin: self.origin,
            version: None,
            trace: caller.and_then(|caller| ExecutionTrace::new(execution_id, Some(caller), true)),
            plan: Arc::new(Plan::of_one_node(names.into(), self.config)),
            started_at: Timestamp::default(),
            clock: self.clock.unwrap_or_else(|| Arc::new(StillClock::default())),
            policy: Arc::new(self.policy.unwrap_or_else(Policy::deny_all)),
            secrets: Secrets::new(self.secrets),
        };
        let is_tainted = inputs.iter().flatten().any(Value::is_tainted);
        let state = Some(Object::new());
        let prepared = Prepared { inputs, state, round: 1, is_tainted, ..Prepared::default() };
        let signals = self.signals.unwrap_or_else(|| Arc::new(AttemptSignals::new(self.sink)));
        let attempt = self.attempt.unwrap_or(1);
        NodeContext::new(Arc::new(execution), 0, prepared, attempt, Some(signals))
    }
}

/// Time moves only when somebody sleeps, and sleeping takes no time.
#[derive(Default)]
struct StillClock(AtomicU64);

impl Clock for StillClock {
    fn now(&self) -> Timestamp {
        Timestamp::default().after(Duration::from_micros(self.0.load(Ordering::SeqCst)))
    }

    fn sleep(
        &self,
        duration: Duration,
    ) -> std::pin::Pin<Box<dyn std::future::Future<Output = ()> + Send>> {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.0.fetch_add(micros, Ordering::SeqCst);
        Box::pin(std::future::ready(()))
    }
}

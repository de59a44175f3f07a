//! What an attempt is told.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use serde::de::DeserializeOwned;
use smallvec::SmallVec;

use super::{
    AttemptSignals, Cancellation, ContextBuilder, NodeError, NodeEvent, NodeState, Policy, PortName,
};
use crate::event::Instance;
use crate::id::{ExecutionId, NodeId, ProjectId, WorkflowId};
use crate::machine::Prepared;
use crate::plan::{NodeIndex, PlanNode, SharedPlan};
use crate::time::{Clock, Timestamp};
use crate::trace::{ExecutionTrace, TraceContext, TraceId};
use crate::value::{Object, Value};

/// The secrets of an execution, by name. Their values are tainted, and `Debug` shows only names.
#[derive(Clone, Default)]
pub struct Secrets(Arc<BTreeMap<String, Value>>);

impl Secrets {
    /// These secrets.
    pub fn new(secrets: impl IntoIterator<Item = (String, Value)>) -> Self {
        let tainted = secrets.into_iter().map(|(name, value)| (name, value.tainted()));
        Self(Arc::new(tainted.collect()))
    }

    /// The names of the secret that an environment variable holds, if it is one of
    /// `FLOW_SECRET_<NAME>`. Names of variables are written in capitals, those of secrets mostly not:
    /// both work.
    pub fn named_by(variable: &str) -> Option<[String; 2]> {
        let name = variable.strip_prefix("FLOW_SECRET_").filter(|name| !name.is_empty())?;
        Some([name.to_owned(), name.to_ascii_lowercase()])
    }

    /// The value of a secret, tainted.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Where an execution belongs, and what led to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// The project that it is in.
    pub project: ProjectId,
    /// How many events led to it, one from the other: 0 for one that no event started.
    pub hops: u32,
}

/// What all attempts of one execution share.
pub struct ExecutionScope {
    /// The execution.
    pub execution_id: ExecutionId,
    /// Where it belongs, and what led to it.
    pub origin: Origin,
    /// The plan of its workflow.
    pub plan: SharedPlan,
    /// The version of the saved workflow; `None` for one that was not saved.
    pub version: Option<u64>,
    /// The trace that it belongs to, if it belongs to one.
    pub trace: Option<ExecutionTrace>,
    /// When it started.
    pub started_at: Timestamp,
    /// Where nodes take time from.
    pub clock: Arc<dyn Clock>,
    /// What nodes may touch.
    pub policy: Arc<Policy>,
    /// The secrets that the execution was given.
    pub secrets: Secrets,
}

/// A config and, once somebody asked for it, its typed form.
#[derive(Default)]
pub(crate) struct ConfigCell {
    object: Object,
    typed: OnceLock<Arc<dyn Any + Send + Sync>>,
}

impl ConfigCell {
    pub(crate) fn new(object: Object) -> Self {
        Self { object, typed: OnceLock::new() }
    }

    pub(crate) fn object(&self) -> &Object {
        &self.object
    }

    fn typed<T: DeserializeOwned + Send + Sync + 'static>(&self) -> Result<Arc<T>, NodeError> {
        if let Some(typed) = self.typed.get()
            && let Ok(typed) = typed.clone().downcast::<T>()
        {
            return Ok(typed);
        }
        let typed: T = self.object.to_typed().map_err(|error| NodeError::untyped_config(&error))?;
        let typed = Arc::new(typed);
        // Somebody else may have been first; both parsed the same.
        let _ = self.typed.set(typed.clone());
        Ok(typed)
    }
}

/// The values on the input ports, by the port's index.
pub(crate) type Inputs = SmallVec<[Option<Value>; 2]>;

/// What an attempt is told: a thin handle, made for each attempt.
// Boxed, because contexts are moved into futures, and those several times.
pub struct NodeContext(Box<Inner>);

struct Inner {
    execution: Arc<ExecutionScope>,
    node: NodeIndex,
    attempt: u32,
    prepared: Prepared,
    /// The attempt's view of the shared state, once somebody asked.
    state: OnceLock<Arc<NodeState>>,
    /// Written out when it is asked for.
    address: OnceLock<Arc<str>>,
    signals: Option<Arc<AttemptSignals>>,
}

impl NodeContext {
    /// The context of an attempt of a node of the execution's plan.
    pub fn new(
        execution: Arc<ExecutionScope>,
        node: NodeIndex,
        prepared: Prepared,
        attempt: u32,
        signals: Option<Arc<AttemptSignals>>,
    ) -> Self {
        let (state, address) = (OnceLock::new(), OnceLock::new());
        let inner = Inner { execution, node, attempt, prepared, state, address, signals };
        Self(Box::new(inner))
    }

    /// A context for inline nodes, one after another: see [`NodeContext::turn_to`].
    pub fn reusable(execution: Arc<ExecutionScope>) -> Self {
        Self::new(execution, 0, Prepared::default(), 1, None)
    }

    /// Makes this the context of another attempt, which was given [`NodeContext::prepared`].
    pub fn turn_to(&mut self, node: NodeIndex, attempt: u32, signals: Option<Arc<AttemptSignals>>) {
        self.0.node = node;
        self.0.attempt = attempt;
        self.0.signals = signals;
    }

    /// Makes this a context of the same execution as somebody else is to see it.
    pub fn move_to(&mut self, execution: Arc<ExecutionScope>) {
        self.0.execution = execution;
    }

    /// What the attempt is given, to be filled by [`crate::machine::Machine::prepare_into`].
    pub fn prepared(&mut self) -> &mut Prepared {
        &mut self.0.prepared
    }

    /// Lets go of everything that the attempt was given, but not of the memory for it.
    pub fn clear(&mut self) {
        self.0.prepared.clear();
        if self.0.state.get().is_some() {
            self.0.state = OnceLock::new();
        }
        if self.0.address.get().is_some() {
            self.0.address = OnceLock::new();
        }
        self.0.signals = None;
    }

    /// Whether something that the attempt was given is tainted.
    pub fn is_tainted(&self) -> bool {
        self.0.prepared.is_tainted
    }

    fn plan_node(&self) -> &PlanNode {
        self.0.execution.plan.graph().node(self.0.node)
    }

    fn input_names(&self) -> &[PortName] {
        self.0.execution.plan.input_names(self.plan_node())
    }

    /// Starts a context made by hand: for testing a node without a runtime.
    pub fn builder() -> ContextBuilder {
        ContextBuilder::default()
    }

    /// The execution that this attempt belongs to.
    pub fn execution_id(&self) -> ExecutionId {
        self.0.execution.execution_id
    }

    /// Where the execution belongs, and what led to it.
    pub fn origin(&self) -> &Origin {
        &self.0.execution.origin
    }

    /// The workflow that is executed.
    pub fn workflow_id(&self) -> &WorkflowId {
        self.0.execution.plan.workflow_id()
    }

    /// When the execution started.
    pub fn started_at(&self) -> Timestamp {
        self.0.execution.started_at
    }

    /// The node's id in the workflow.
    pub fn node_id(&self) -> &NodeId {
        self.plan_node().id()
    }

    /// The address of this instance of the node, such as `each[3].fetch`; the node's id at the top
    /// level.
    pub fn address(&self) -> &str {
        let Some(place) = &self.0.prepared.place else { return self.node_id().as_str() };
        let plan = &self.0.execution.plan;
        self.0.address.get_or_init(|| place.address(plan, self.0.node))
    }

    /// Which attempt this is, from 1.
    pub fn attempt(&self) -> u32 {
        self.0.attempt
    }

    /// The same for every attempt of this instance of the node: `execution/round/address`.
    pub fn idempotency_key(&self) -> String {
        let execution = self.0.execution.execution_id;
        match &self.0.prepared.place {
            Some(place) => format!("{execution}/{}/{}", place.rounds(), self.address()),
            None => format!("{execution}/{}/{}", self.0.prepared.round, self.node_id()),
        }
    }

    /// The trace that the execution belongs to, if it belongs to one.
    pub fn trace_id(&self) -> Option<TraceId> {
        self.0.execution.trace.as_ref().map(ExecutionTrace::trace_id)
    }

    /// What whoever this attempt asks for something should be told, as the headers `traceparent` (which
    /// it is displayed as) and `tracestate`. `None` unless the execution was started in a trace, or
    /// somebody makes spans of executions. Computed when it is asked for.
    pub fn trace_context(&self) -> Option<TraceContext> {
        let trace = self.0.execution.trace.as_ref()?;
        let instance = Instance { scope: self.0.prepared.scope, node: self.0.node };
        Some(trace.of_attempt(self.execution_id(), instance, self.0.attempt))
    }

    /// The value on an input port: from a connection, else from the config, else, on a node without
    /// connections, from the execution input of that name. `None` when there is none.
    pub fn input(&self, port: &str) -> Option<&Value> {
        let prepared = &self.0.prepared;
        let index = self.input_names().iter().position(|name| name.is(port));
        let bound = index.and_then(|index| prepared.inputs.get(index)).and_then(Option::as_ref);
        bound
            .or_else(|| self.config_object().get(port))
            .or_else(|| prepared.execution_inputs.as_ref().and_then(|inputs| inputs.get(port)))
    }

    /// The value on an input port.
    ///
    /// # Errors
    /// `input.missing` when the port has none.
    pub fn required_input(&self, port: &str) -> Result<&Value, NodeError> {
        self.input(port).ok_or_else(|| NodeError::missing_input(port))
    }

    /// The text on an input port.
    ///
    /// # Errors
    /// `input.missing`, or `input.invalid` when the value is not a string.
    pub fn string_input(&self, port: &str) -> Result<&str, NodeError> {
        let value = self.required_input(port)?;
        value.as_str().ok_or_else(|| NodeError::invalid_input(port, "a string", value.kind()))
    }

    /// The input ports that have a value from a connection or an execution input.
    pub fn inputs(&self) -> impl Iterator<Item = (&str, &Value)> {
        let prepared = &self.0.prepared;
        let names = self.input_names();
        let ports = names.iter().map(PortName::as_str).zip(&prepared.inputs);
        let ports = ports.filter_map(|(name, value)| Some((name, value.as_ref()?)));
        let others = prepared.execution_inputs.iter().flat_map(Object::iter);
        let others = others.filter(|(name, _)| !names.iter().any(|port| port.is(name)));
        ports.chain(others.map(|(name, value)| (&**name, value)))
    }

    /// The config as a Rust type, with expressions resolved and secrets revealed. A config without
    /// expressions is parsed once for all attempts.
    ///
    /// # Errors
    /// `config.invalid` saying what was expected.
    pub fn config<T: DeserializeOwned + Send + Sync + 'static>(&self) -> Result<Arc<T>, NodeError> {
        self.config_cell().typed()
    }

    /// The config with expressions resolved; what came from a secret is tainted.
    pub fn config_object(&self) -> &Object {
        self.config_cell().object()
    }

    fn config_cell(&self) -> &ConfigCell {
        match &self.0.prepared.config {
            Some(resolved) => resolved,
            None => self.0.execution.plan.config(self.plan_node()),
        }
    }

    /// The state that the nodes of this workflow share.
    ///
    /// # Errors
    /// `state.denied` for nodes with effect `pure`, which have no access.
    pub fn state(&self) -> Result<&NodeState, NodeError> {
        let snapshot = self.0.prepared.state.as_ref().ok_or_else(|| {
            NodeError::new("state.denied", "a node with effect `pure` has no access to the state")
                .with_hint("declare another effect for the node type")
        })?;
        Ok(self.0.state.get_or_init(|| Arc::new(NodeState::new(snapshot.clone()))))
    }

    /// The attempt's view of the shared state, for committing its writes; `None` for nodes without
    /// access.
    pub fn shared_state(&self) -> Option<Arc<NodeState>> {
        self.0.prepared.state.as_ref()?;
        self.state().ok()?;
        self.0.state.get().cloned()
    }

    /// Takes what the attempt wrote to the shared state.
    pub fn take_state_writes(&self) -> Object {
        self.0.state.get().map(|state| state.take_writes()).unwrap_or_default()
    }

    /// What this attempt may touch.
    pub fn policy(&self) -> &Policy {
        &self.0.execution.policy
    }

    /// The value of a secret, tainted.
    ///
    /// # Errors
    /// `secret.unknown` when the execution has no secret of this name.
    pub fn secret(&self, name: &str) -> Result<&Value, NodeError> {
        self.0
            .execution
            .secrets
            .get(name)
            .ok_or_else(|| NodeError::new("secret.unknown", format!("there is no secret `{name}`")))
    }

    /// Where to take time from.
    pub fn clock(&self) -> &dyn Clock {
        &*self.0.execution.clock
    }

    /// The signal to stop. An attempt that asks for it gets a grace period when it is cancelled;
    /// one that never asks is dropped at its next await.
    pub fn cancellation(&self) -> Cancellation {
        match &self.0.signals {
            Some(signals) => signals.cancellation(),
            None => Cancellation::new(),
        }
    }

    /// Tells those who watch something worth knowing.
    pub fn info(&self, message: impl Into<String>) {
        self.emit(|| NodeEvent::Info { message: message.into() });
    }

    /// Tells those who watch something worth worrying about.
    pub fn warning(&self, message: impl Into<String>) {
        self.emit(|| NodeEvent::Warning { message: message.into() });
    }

    /// Tells those who watch how far the attempt is, from 0 to 1.
    pub fn progress(&self, fraction: f64) {
        self.emit(|| NodeEvent::Progress { fraction, message: None });
    }

    /// Sends an event to those who watch; `event` is only called when somebody does. Never blocks;
    /// under load events are dropped, counted and reported.
    pub fn emit(&self, event: impl FnOnce() -> NodeEvent) {
        if let Some(sink) = self.0.signals.as_ref().and_then(|signals| signals.sink()) {
            sink.emit(event());
        }
    }
}

impl fmt::Debug for NodeContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeContext")
            .field("execution_id", &self.0.execution.execution_id)
            .field("node", &self.address())
            .field("attempt", &self.0.attempt)
            .finish_non_exhaustive()
    }
}

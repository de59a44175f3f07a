//! The workflow definition: what a file says, as Rust types.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CacheSpec, ConcurrencySpec, RateLimitSpec, Trigger};
use crate::id::{NodeId, WorkflowId};
use crate::node::{Effect, NodeConfig};
use crate::value::{Object, Value};

/// A workflow: nodes joined by connections into a directed acyclic graph.
///
/// Cloning is O(1); changing a shared one copies it first, so whoever holds a clone keeps what it
/// had. The fields are those of [`WorkflowSpec`].
#[derive(Clone, Default, PartialEq)]
pub struct Workflow(pub(crate) Arc<WorkflowSpec>);

impl Workflow {
    /// The same for clones, and changed by every change: what a cache of plans goes by. Only as long
    /// as this workflow or a clone of it is alive.
    pub fn identity(&self) -> usize {
        Arc::as_ptr(&self.0) as usize
    }
}

impl From<WorkflowSpec> for Workflow {
    fn from(spec: WorkflowSpec) -> Self {
        Self(Arc::new(spec))
    }
}

impl Deref for Workflow {
    type Target = WorkflowSpec;
    fn deref(&self) -> &WorkflowSpec {
        &self.0
    }
}

impl DerefMut for Workflow {
    fn deref_mut(&mut self) -> &mut WorkflowSpec {
        Arc::make_mut(&mut self.0)
    }
}

impl fmt::Debug for Workflow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a workflow file says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WorkflowSpec {
    /// `$schema`, for editors.
    pub schema: Option<String>,
    /// The id; a file without one takes its stem.
    pub id: Option<WorkflowId>,
    /// A name for people.
    pub name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// The inputs that an execution takes, in order; `None` takes any.
    pub inputs: Option<IndexMap<String, InputSpec>>,
    /// The nodes, in file order.
    pub nodes: Vec<NodeSpec>,
    /// The connections, in file order.
    pub connections: Vec<Connection>,
    /// What an execution gives, as expressions; `None` gives the outputs of the nodes on which
    /// nothing depends.
    pub outputs: Option<Object>,
    /// What starts executions.
    pub triggers: Vec<Trigger>,
    /// Limits and policies.
    pub settings: Settings,
    /// A condition over a message; planned.
    pub when: Option<Value>,
    /// Keys that begin with `x-`: kept and ignored.
    pub extensions: Object,
}

/// An input of a workflow: a JSON Schema with an optional `default`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct InputSpec {
    /// The JSON Schema, `default` and `description` included.
    pub schema: Object,
}

impl InputSpec {
    /// The value that an execution gets when it is given none.
    pub fn default_value(&self) -> Option<&Value> {
        self.schema.get("default")
    }
}

/// One node of a workflow.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeSpec {
    /// Unique within the workflow.
    pub id: NodeId,
    /// The implementation, such as `http.request`.
    pub node_type: Arc<str>,
    /// A name for people.
    pub name: Option<Arc<str>>,
    /// What it is for.
    pub description: Option<Arc<str>>,
    /// The settings of the implementation; strings may hold expressions.
    pub config: NodeConfig,
    /// An expression, or a rule in JSONLogic as an object; false or null skips the node.
    pub when: Option<Value>,
    /// Which connections must be live.
    pub join: Join,
    /// What happens to the workflow when the node fails; `None` follows the workflow's setting.
    pub on_error: Option<OnError>,
    /// When a failed attempt is followed by another.
    pub retry_policy: Option<Box<RetryPolicy>>,
    /// The longest that one attempt may take, in milliseconds.
    pub timeout_ms: Option<u64>,
    /// What attempts do to the world; `None` asks the node type.
    pub effect: Option<Effect>,
    /// What takes back what the node has done, when the execution does not succeed.
    pub undo: Option<Box<UndoSpec>>,
    /// How long its result may be reused; only of `pure` nodes.
    pub cache: Option<Box<CacheSpec>>,
    /// Where an editor draws it.
    pub position: Option<Box<Position>>,
    /// Keys that begin with `x-`: kept and ignored.
    pub extensions: Object,
}

/// What takes back what a node has done: a node of its own, without connections.
///
/// It runs when the execution fails, times out or is cancelled, and before a new round. Its config
/// sees what that of the node saw, and the outputs of the node; it is resolved when the node
/// succeeds.
#[derive(Debug, Clone, PartialEq)]
pub struct UndoSpec {
    /// The implementation, such as `http.request`; no control node.
    pub node_type: Arc<str>,
    /// Its settings, and values of its input ports; strings may hold expressions.
    pub config: NodeConfig,
    /// When a failed attempt is followed by another.
    pub retry_policy: Option<Box<RetryPolicy>>,
    /// The longest that one attempt may take, in milliseconds.
    pub timeout_ms: Option<u64>,
    /// What attempts do to the world; `None` asks the node type.
    pub effect: Option<Effect>,
}

/// An edge from an output port to an input port; without ports it is order only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Connection {
    /// The id of the node that it leaves.
    #[schemars(with = "String")]
    pub from_node: NodeId,
    /// The output port that it leaves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_port: Option<Arc<str>>,
    /// The id of the node that it enters.
    #[schemars(with = "String")]
    pub to_node: NodeId,
    /// The input port that it enters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_port: Option<Arc<str>>,
}

/// Which of a node's connections must be live for it to run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Join {
    /// Waits for every connection; runs if all are live.
    #[default]
    All,
    /// Waits for every connection; runs if at least one is live.
    Any,
    /// Runs as soon as one is live; the losers are cancelled.
    First,
}

/// What happens to the workflow when a node has failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnError {
    /// Running nodes are cancelled and awaited, and the workflow fails.
    #[default]
    StopWorkflow,
    /// What depends on the node is skipped, the rest goes on.
    ContinueOnError,
    /// The workflow starts again, with fresh state.
    RetryWorkflow {
        /// How many rounds there are in all; at least 1.
        #[schemars(range(min = 1))]
        max_attempts: u32,
    },
}

/// When a failed attempt is followed by another.
///
/// Only errors that the node marks as retryable are retried. The wait before the second attempt is
/// `delay_ms`, and each further one is `backoff_multiplier` times longer, up to `max_delay_ms`;
/// with `jitter` it is a random time between zero and that.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RetryPolicy {
    /// How many attempts there are in all; at least 1.
    #[schemars(range(min = 1))]
    pub max_attempts: u32,
    /// The wait before the second attempt, in milliseconds.
    pub delay_ms: u64,
    /// How much longer each further wait is; at least 1.
    #[schemars(range(min = 1.0))]
    pub backoff_multiplier: f64,
    /// The longest wait, in milliseconds.
    pub max_delay_ms: u64,
    /// Whether an attempt that timed out is retried.
    pub retry_on_timeout: bool,
    /// Whether waits are random, so that many do not retry at once.
    pub jitter: bool,
    /// The longest that the node may take with all its attempts and waits, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_elapsed_ms: Option<u64>,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_attempts: 1,
            delay_ms: 1_000,
            backoff_multiplier: 2.0,
            max_delay_ms: 60_000,
            retry_on_timeout: true,
            jitter: true,
            max_elapsed_ms: None,
        }
    }
}

/// Where an editor draws a node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// To the right.
    pub x: f64,
    /// Down.
    pub y: f64,
}

/// When the events of an execution are safe.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// In memory only.
    None,
    /// Stored, but idempotent attempts do not wait for it.
    Async,
    /// Stored before anything outside can see them.
    Sync,
}

/// Limits and policies of a workflow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The most nodes that run at the same time; left out, the runtime decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_parallel_nodes: Option<u32>,
    /// The longest that an execution may take, in milliseconds, waits included.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_execution_time_ms: Option<u64>,
    /// What happens when a node has failed and nothing handles it.
    pub on_error: OnError,
    /// The longest that cleaning up after an execution may take, in milliseconds.
    pub cleanup_time_ms: u64,
    /// When the events of an execution are safe; left out, whoever runs it decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub durability: Option<Durability>,
    /// How many executions run at the same time; left out, any number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<ConcurrencySpec>,
    /// How often nodes start.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rate_limits: Vec<RateLimitSpec>,
    /// Whether events say what each node changed; planned.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub record_changes: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_parallel_nodes: None,
            max_execution_time_ms: None,
            on_error: OnError::default(),
            cleanup_time_ms: 300_000,
            durability: None,
            concurrency: None,
            rate_limits: Vec::new(),
            record_changes: false,
        }
    }
}

impl Settings {
    /// The longest that an execution may take.
    pub fn max_execution_time(&self) -> Option<Duration> {
        self.max_execution_time_ms.map(Duration::from_millis)
    }
}

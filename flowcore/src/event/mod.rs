//! Facts about an execution, in order.

mod flat;
mod live;

pub(crate) use flat::millis;
pub use live::{EventBody, ExecutionEvent, NodeMessage};

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::control::OnItemError;
use crate::machine::{ExecutionStatus, Kept};
use crate::node::{CancelReason, NodeError, NodeOutput};
use crate::plan::NodeIndex;
use crate::time::Timestamp;
use crate::value::{Array, Object, Value};

/// The version of the form in which events are stored.
pub const EVENT_FORMAT: u32 = 1;

/// A scope: a workflow in one round, and each item, iteration, branch and part of a control node.
/// Numbered from 0 in the order in which they are opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ScopeId(pub u32);

/// A node instance: a node in a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Instance {
    /// The scope.
    pub scope: ScopeId,
    /// The node's index in the scope's graph.
    pub node: NodeIndex,
}

/// What a scope is to the control node that opened it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// A workflow: the one that is executed, or one that is called.
    Workflow,
    /// The item at this position of a `control.for_each`.
    Item(u32),
    /// This iteration of a `control.loop`, from 0.
    Iteration(u32),
    /// The branch at this position of a `control.parallel_race`.
    Branch(u32),
    /// What a `control.try` tries.
    Body,
    /// What follows its failure.
    Catch,
    /// What follows in any case.
    Finally,
    /// What takes back what a node has done.
    Undo,
}

/// What a control node has been given for the scopes that it opens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Opens {
    /// A scope for each item.
    ForEach {
        /// The items.
        items: Array,
        /// How many are under way at the same time.
        max_concurrency: u32,
        /// What follows when one fails.
        on_item_error: OnItemError,
    },
    /// A scope after the other.
    Loop {
        /// What the first iteration is given.
        state: Value,
        /// How many iterations there are at most.
        max_iterations: u32,
    },
    /// A scope for each branch.
    Race,
    /// A body, what follows its failure, and what always follows.
    Try,
    /// A workflow.
    Call {
        /// Its inputs, checked, defaults included.
        inputs: Object,
    },
}

/// What the undo of a node is given, evaluated when the node succeeds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UndoInput {
    /// The values on its input ports, by index, and its config if that holds expressions.
    Given {
        /// The values.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        inputs: Vec<(u16, Value)>,
        /// The config.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        config: Option<Object>,
    },
    /// An expression failed, so that the node cannot be undone.
    Failed(NodeError),
}

/// Something that was to be undone and was not, or perhaps was not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotUndone {
    /// The address of the node.
    pub node: String,
    /// The round of its workflow.
    pub round: u32,
    /// The stable code of the reason.
    pub code: String,
    /// A lowercase fragment.
    pub message: String,
    /// Whether nobody knows what became of it: an attempt of the node, or to undo it, was cut off.
    pub outcome_unknown: bool,
}

impl std::fmt::Display for NotUndone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "node `{}` was not undone: {}", self.node, self.message)
    }
}

/// What a node waits for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wait {
    /// The moment that comes with it.
    Time,
    /// Its turn under a rate limit, at the moment that comes with it.
    RateLimit {
        /// The node type or the resource that is limited.
        name: Arc<str>,
    },
    /// A signal.
    Signal {
        /// Its name.
        name: Arc<str>,
        /// Tells waits for the same name apart.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<Arc<str>>,
    },
    /// An approval.
    Approval {
        /// The name under which it is answered.
        name: Arc<str>,
        /// Tells waits for the same name apart.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<Arc<str>>,
        /// What is to be approved.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<Value>,
    },
}

/// How a scope ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScopeEnd {
    /// Well; this is what it gave.
    Succeeded(Value),
    /// With an error.
    Failed(ExecutionError),
    /// It was told to stop.
    Cancelled,
}

/// What a node with a `cache` had from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CacheUse {
    /// The result of an earlier attempt: the node itself was not called.
    Hit,
    /// Nothing: the node was called.
    Miss,
}

/// What an attempt changed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Changes {
    /// The changes, in the order of what was there, then what was added.
    pub list: Vec<Change>,
    /// How many more there are.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub left_out: usize,
}

/// A value that was replaced, added or taken away.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Where: a JSON pointer, which begins with the output port, or with `state`.
    pub path: String,
    /// What was there; `None` for what was added.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "some")]
    pub old_value: Option<Value>,
    /// What is there now; `None` for what was taken away.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "some")]
    pub new_value: Option<Value>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// A field that is null is there.
fn some<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// How an attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum FailureKind {
    /// The node said so.
    Failed,
    /// It took longer than `timeout_ms`.
    TimedOut,
    /// It panicked.
    Panicked,
    /// The process that ran it ended, and it is not to start twice.
    Interrupted,
}

/// What follows the failure of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AfterFailure {
    /// Another attempt at this moment.
    Retry(Timestamp),
    /// The port `error` is live.
    ErrorPort,
    /// Dependants are skipped, the rest goes on.
    Continue,
    /// The workflow ends.
    Stop,
    /// The workflow starts again.
    NewRound,
    /// Nothing: the workflow was ending already.
    Ending,
}

/// Why a node was skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipReason {
    /// Its connections do not let it run.
    Connections,
    /// Its `when` was false or null.
    When,
}

/// Why an execution was paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PauseReason {
    /// Somebody asked for it.
    Requested,
    /// Attempts were cut off again and again, and nothing was kept in between: perhaps it is one of
    /// them that ends the process.
    CrashLoop,
}

impl PauseReason {
    /// The reason as a stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::CrashLoop => "crash_loop",
        }
    }

    /// The stable code, if it is something to do about.
    pub fn code(self) -> Option<&'static str> {
        match self {
            Self::Requested => None,
            Self::CrashLoop => Some("recovery.crash_loop"),
        }
    }
}

/// Why an execution did not succeed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExecutionError {
    /// The stable code.
    pub code: String,
    /// A lowercase fragment.
    pub message: String,
    /// The address of the node that failed, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// How many attempts the node had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl std::fmt::Display for ExecutionError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.node {
            Some(node) => write!(f, "node `{node}` failed: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for ExecutionError {}

/// A fact about an execution, compact: nodes are indices.
///
/// An `inline` node that is `pure` or `read` has no `NodeStarted`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
#[non_exhaustive]
pub enum Event {
    /// The execution started; the first event.
    WorkflowStarted {
        /// The inputs, defaults included.
        inputs: Object,
        /// Results of an earlier execution that nodes have instead of running.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        kept: Option<Box<Kept>>,
    },
    /// An attempt started.
    NodeStarted {
        /// The node.
        instance: Instance,
        /// The attempt, from 1.
        attempt: u32,
        /// What a control node opens scopes for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        opens: Option<Box<Opens>>,
    },
    /// The node waits for a time or a signal.
    NodeWaiting {
        /// The node.
        instance: Instance,
        /// The attempt, from 1.
        attempt: u32,
        /// When the wait ends by itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
        /// What for.
        wait: Wait,
    },
    /// An attempt succeeded.
    NodeCompleted {
        /// The node.
        instance: Instance,
        /// The attempt, from 1; 0 when there was none.
        attempt: u32,
        /// The values on its output ports.
        outputs: NodeOutput,
        /// What it wrote to the shared state.
        #[serde(default, skip_serializing_if = "Object::is_empty")]
        state_writes: Object,
        /// When the attempt started.
        started_at: Timestamp,
        /// Whether the result comes from the cache; `None` if it was not asked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cache: Option<CacheUse>,
        /// Whether the result is that of an earlier execution: the node did not run.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        kept: bool,
        /// What it changed; `None` unless the workflow records that and somebody listens.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        changes: Option<Arc<Changes>>,
        /// What its undo is given, if it has one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        undo: Option<Box<UndoInput>>,
    },
    /// An attempt failed.
    NodeFailed {
        /// The node.
        instance: Instance,
        /// The attempt, from 1.
        attempt: u32,
        /// How.
        outcome: FailureKind,
        /// Why.
        error: NodeError,
        /// What follows.
        then: AfterFailure,
        /// When the attempt started.
        started_at: Timestamp,
    },
    /// The process that ran an attempt ended before its end was kept. The node starts again, with
    /// another attempt, which does not count towards `max_attempts`.
    NodeInterrupted {
        /// The node.
        instance: Instance,
        /// The attempt, from 1.
        attempt: u32,
    },
    /// The wait before the next attempt, or for its turn under a rate limit, is over.
    WaitEnded {
        /// The node.
        instance: Instance,
    },
    /// The node does not run.
    NodeSkipped {
        /// The node.
        instance: Instance,
        /// Why.
        reason: SkipReason,
    },
    /// The node was told to stop, and has.
    NodeCancelled {
        /// The node.
        instance: Instance,
        /// Why.
        reason: CancelReason,
    },
    /// Something was told to stop.
    CancelRequested {
        /// The node; `None` is the whole execution.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        instance: Option<Instance>,
        /// Why.
        reason: CancelReason,
        /// Who asked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Arc<str>>,
    },
    /// Nothing starts until the execution is resumed or cancelled; what runs goes on to its end.
    ///
    /// A [`Event::CancelRequested`] of the whole execution ends the pause, too.
    Paused {
        /// Why.
        reason: PauseReason,
        /// Who asked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Arc<str>>,
        /// The node that is the reason, if one is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        node: Option<Instance>,
    },
    /// The execution goes on.
    Resumed {
        /// Who asked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Arc<str>>,
    },
    /// Another process goes on with the execution. What came of each attempt that was under way
    /// follows: it was interrupted, has failed, or was cancelled.
    Recovered {
        /// What tells its writes from those of owners before.
        fence: u64,
        /// How many attempts were under way.
        interrupted: u32,
    },
    /// A node asked for the end of the execution, successfully.
    StopRequested {
        /// The node.
        instance: Instance,
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Arc<str>>,
    },
    /// A signal came from outside.
    SignalReceived {
        /// The node that waits for it; `None` while nobody does.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        instance: Option<Instance>,
        /// Its name.
        name: Arc<str>,
        /// Which of several waits for the name is meant.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<Arc<str>>,
        /// What came with it.
        payload: Value,
    },
    /// A control node opened a scope.
    ScopeOpened {
        /// The scope.
        scope: ScopeId,
        /// The control node.
        opener: Instance,
        /// What it is to it.
        part: Part,
    },
    /// Nothing is left to do in a scope.
    ScopeClosed {
        /// The scope.
        scope: ScopeId,
        /// How it ended.
        end: ScopeEnd,
    },
    /// The execution ends, and something is left to clean up.
    CleanupStarted {
        /// When cleaning up has taken as long as it may.
        until: Timestamp,
        /// The failure of the workflow's outputs, if that is why it ends.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<Box<ExecutionError>>,
    },
    /// A node is undone: the one that completed last of those that were not yet.
    UndoStarted {
        /// The scope of its undo.
        scope: ScopeId,
        /// The scope of the workflow that ends, or starts again.
        workflow: ScopeId,
        /// The address of the node.
        node: Arc<str>,
    },
    /// A workflow started again, with fresh state.
    RoundStarted {
        /// The round, from 2.
        round: u32,
        /// Its scope.
        scope: ScopeId,
        /// The scope of the round before.
        after: ScopeId,
    },
    /// The execution ended; the last event.
    WorkflowCompleted {
        /// How.
        status: ExecutionStatus,
        /// What it gave, if it succeeded.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        outputs: Option<Value>,
        /// Why it did not succeed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<ExecutionError>,
        /// Outputs that are null because their node did not succeed.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        warnings: Vec<String>,
        /// What was to be undone and was not, in the order in which that was found.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        not_undone: Vec<NotUndone>,
    },
}

impl Event {
    /// The event's name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::WorkflowStarted { .. } => "WorkflowStarted",
            Self::NodeStarted { .. } => "NodeStarted",
            Self::NodeWaiting { .. } => "NodeWaiting",
            Self::NodeCompleted { .. } => "NodeCompleted",
            Self::NodeFailed { .. } => "NodeFailed",
            Self::NodeInterrupted { .. } => "NodeInterrupted",
            Self::WaitEnded { .. } => "WaitEnded",
            Self::NodeSkipped { .. } => "NodeSkipped",
            Self::NodeCancelled { .. } => "NodeCancelled",
            Self::CancelRequested { .. } => "CancelRequested",
            Self::Paused { .. } => "Paused",
            Self::Resumed { .. } => "Resumed",
            Self::Recovered { .. } => "Recovered",
            Self::StopRequested { .. } => "StopRequested",
            Self::SignalReceived { .. } => "SignalReceived",
            Self::ScopeOpened { .. } => "ScopeOpened",
            Self::ScopeClosed { .. } => "ScopeClosed",
            Self::CleanupStarted { .. } => "CleanupStarted",
            Self::UndoStarted { .. } => "UndoStarted",
            Self::RoundStarted { .. } => "RoundStarted",
            Self::WorkflowCompleted { .. } => "WorkflowCompleted",
        }
    }

    /// The node that the event is about, if it is about one.
    pub fn instance(&self) -> Option<Instance> {
        match self {
            Self::NodeStarted { instance, .. }
            | Self::NodeWaiting { instance, .. }
            | Self::NodeCompleted { instance, .. }
            | Self::NodeFailed { instance, .. }
            | Self::NodeInterrupted { instance, .. }
            | Self::WaitEnded { instance }
            | Self::NodeSkipped { instance, .. }
            | Self::NodeCancelled { instance, .. }
            | Self::StopRequested { instance, .. }
            | Self::ScopeOpened { opener: instance, .. } => Some(*instance),
            Self::CancelRequested { instance, .. } | Self::SignalReceived { instance, .. } => {
                *instance
            }
            Self::Paused { node, .. } => *node,
            Self::WorkflowStarted { .. }
            | Self::Resumed { .. }
            | Self::Recovered { .. }
            | Self::ScopeClosed { .. }
            | Self::CleanupStarted { .. }
            | Self::UndoStarted { .. }
            | Self::RoundStarted { .. }
            | Self::WorkflowCompleted { .. } => None,
        }
    }

    /// The scope that the event closes.
    pub(crate) fn scope(&self) -> Option<ScopeId> {
        match self {
            Self::ScopeClosed { scope, .. } | Self::RoundStarted { after: scope, .. } => {
                Some(*scope)
            }
            Self::WorkflowStarted { .. }
            | Self::NodeStarted { .. }
            | Self::NodeWaiting { .. }
            | Self::NodeCompleted { .. }
            | Self::NodeFailed { .. }
            | Self::NodeInterrupted { .. }
            | Self::WaitEnded { .. }
            | Self::NodeSkipped { .. }
            | Self::NodeCancelled { .. }
            | Self::CancelRequested { .. }
            | Self::Paused { .. }
            | Self::Resumed { .. }
            | Self::Recovered { .. }
            | Self::StopRequested { .. }
            | Self::SignalReceived { .. }
            | Self::ScopeOpened { .. }
            | Self::CleanupStarted { .. }
            | Self::UndoStarted { .. }
            | Self::WorkflowCompleted { .. } => None,
        }
    }

    /// The scope that the event opens.
    pub(crate) fn opens(&self) -> Option<ScopeId> {
        match self {
            Self::ScopeOpened { scope, .. }
            | Self::UndoStarted { scope, .. }
            | Self::RoundStarted { scope, .. } => Some(*scope),
            Self::WorkflowStarted { .. }
            | Self::NodeStarted { .. }
            | Self::NodeWaiting { .. }
            | Self::NodeCompleted { .. }
            | Self::NodeFailed { .. }
            | Self::NodeInterrupted { .. }
            | Self::WaitEnded { .. }
            | Self::NodeSkipped { .. }
            | Self::NodeCancelled { .. }
            | Self::CancelRequested { .. }
            | Self::Paused { .. }
            | Self::Resumed { .. }
            | Self::Recovered { .. }
            | Self::StopRequested { .. }
            | Self::SignalReceived { .. }
            | Self::ScopeClosed { .. }
            | Self::CleanupStarted { .. }
            | Self::WorkflowCompleted { .. } => None,
        }
    }
}

/// An event with its place in the order of its execution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// 1, 2, 3… without gaps.
    pub seq: u64,
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

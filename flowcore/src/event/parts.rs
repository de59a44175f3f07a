//! What events are made of.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::control::OnItemError;
use crate::node::NodeError;
use crate::plan::NodeIndex;
use crate::time::Timestamp;
use crate::value::{Array, Object, Value};

/// A scope: a workflow in one round, and each item, iteration, branch and part of a control node.
/// Numbered from 0 in the order in which they are opened.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
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
pub(super) fn is_zero(number: &usize) -> bool {
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
    /// them that ends the process. Or the driver panicked again and again: then the event has a dump.
    CrashLoop,
    /// The machine could not go on from a fact: a bug in Flow, of which the event has a dump. Nothing
    /// that was decided before is lost.
    ImpossibleFact,
}

impl PauseReason {
    /// The reason as a stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::CrashLoop => "crash_loop",
            Self::ImpossibleFact => "impossible_fact",
        }
    }

    /// The stable code, if it is something to do about.
    pub fn code(self) -> Option<&'static str> {
        match self {
            Self::Requested => None,
            Self::CrashLoop => Some("recovery.crash_loop"),
            Self::ImpossibleFact => Some("runtime.impossible_fact"),
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

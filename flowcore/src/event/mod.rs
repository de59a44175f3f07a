//! Facts about an execution, in order.

mod flat;
mod live;
mod parts;

pub(crate) use flat::millis;
pub use live::{EventBody, ExecutionEvent, NodeMessage};
use parts::is_zero;
pub use parts::{
    AfterFailure, CacheUse, Change, Changes, ExecutionError, FailureKind, Instance, NotUndone,
    Opens, Part, PauseReason, ScopeEnd, ScopeId, SkipReason, UndoInput, Wait,
};

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::machine::{ExecutionStatus, Kept};
use crate::node::{CancelReason, NodeError, NodeOutput};
use crate::time::Timestamp;
use crate::value::{Object, Value};

/// The version of the form in which events are stored.
pub const EVENT_FORMAT: u32 = 1;

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
        /// What was known when Flow itself failed, for whoever looks for the bug. Values that came from
        /// secrets are `•••` in it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        dump: Option<Arc<str>>,
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

//! Facts about an execution, in order.

use std::sync::Arc;
use std::time::Duration;

use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

use crate::id::ExecutionId;
use crate::machine::ExecutionStatus;
use crate::node::{CancelReason, NodeError, NodeOutput};
use crate::plan::{NodeIndex, SharedPlan};
use crate::time::Timestamp;
use crate::value::{Object, Value};

/// The version of the form in which events are stored.
pub const EVENT_FORMAT: u32 = 1;

/// A scope: the root in one round, and later each item, iteration and branch.
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

/// How an attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum FailureKind {
    /// The node said so.
    Failed,
    /// It took longer than `timeout_ms`.
    TimedOut,
    /// It panicked.
    Panicked,
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
/// An `inline` node has no `NodeStarted`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
#[non_exhaustive]
pub enum Event {
    /// The execution started; the first event.
    WorkflowStarted {
        /// The inputs, defaults included.
        inputs: Object,
    },
    /// An attempt started.
    NodeStarted {
        /// The node.
        instance: Instance,
        /// The attempt, from 1.
        attempt: u32,
    },
    /// An attempt succeeded.
    NodeCompleted {
        /// The node.
        instance: Instance,
        /// The attempt, from 1.
        attempt: u32,
        /// The values on its output ports.
        outputs: NodeOutput,
        /// What it wrote to the shared state.
        #[serde(default, skip_serializing_if = "Object::is_empty")]
        state_writes: Object,
        /// When the attempt started.
        started_at: Timestamp,
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
    /// The wait before the next attempt is over.
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
    /// The workflow started again, with fresh state.
    RoundStarted {
        /// The round, from 2.
        round: u32,
        /// Its scope.
        scope: ScopeId,
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
    },
}

impl Event {
    /// The event's name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::WorkflowStarted { .. } => "WorkflowStarted",
            Self::NodeStarted { .. } => "NodeStarted",
            Self::NodeCompleted { .. } => "NodeCompleted",
            Self::NodeFailed { .. } => "NodeFailed",
            Self::WaitEnded { .. } => "WaitEnded",
            Self::NodeSkipped { .. } => "NodeSkipped",
            Self::NodeCancelled { .. } => "NodeCancelled",
            Self::CancelRequested { .. } => "CancelRequested",
            Self::RoundStarted { .. } => "RoundStarted",
            Self::WorkflowCompleted { .. } => "WorkflowCompleted",
        }
    }

    /// The node that the event is about, if it is about one.
    pub fn instance(&self) -> Option<Instance> {
        match self {
            Self::NodeStarted { instance, .. }
            | Self::NodeCompleted { instance, .. }
            | Self::NodeFailed { instance, .. }
            | Self::WaitEnded { instance }
            | Self::NodeSkipped { instance, .. }
            | Self::NodeCancelled { instance, .. } => Some(*instance),
            Self::CancelRequested { instance, .. } => *instance,
            Self::WorkflowStarted { .. }
            | Self::RoundStarted { .. }
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

/// A message of a running attempt, for those who watch.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeMessage {
    /// The node.
    pub instance: Instance,
    /// The attempt, from 1.
    pub attempt: u32,
    /// Counts the messages of the attempt, from 1; a gap is what was dropped.
    pub number: u64,
    /// The message comes after the event with this number.
    pub after_seq: u64,
    /// When.
    pub at: Timestamp,
    /// What.
    pub event: crate::node::NodeEvent,
}

/// What an [`ExecutionEvent`] says.
#[derive(Debug, Clone, PartialEq)]
pub enum EventBody {
    /// A fact: in the journal, numbered without gaps.
    Fact(Arc<Record>),
    /// A message of a node: not in the journal, may be dropped.
    Message(Arc<NodeMessage>),
}

/// An event as subscribers get it; cloning is O(1).
///
/// It serialises as one flat object:
/// `{"seq": 3, "at": "…", "execution_id": "…", "type": "NodeStarted", "node_id": "fetch", …}`.
#[derive(Debug, Clone)]
pub struct ExecutionEvent {
    /// The execution.
    pub execution_id: ExecutionId,
    /// What it says.
    pub body: EventBody,
    plan: SharedPlan,
}

impl ExecutionEvent {
    /// A fact of an execution of this plan.
    pub fn fact(execution_id: ExecutionId, plan: SharedPlan, record: Record) -> Self {
        Self { execution_id, body: EventBody::Fact(Arc::new(record)), plan }
    }

    /// A message of a node of an execution of this plan.
    pub fn message(execution_id: ExecutionId, plan: SharedPlan, message: NodeMessage) -> Self {
        Self { execution_id, body: EventBody::Message(Arc::new(message)), plan }
    }

    /// The number of a fact.
    pub fn seq(&self) -> Option<u64> {
        match &self.body {
            EventBody::Fact(record) => Some(record.seq),
            EventBody::Message(_) => None,
        }
    }

    /// When it happened.
    pub fn at(&self) -> Timestamp {
        match &self.body {
            EventBody::Fact(record) => record.at,
            EventBody::Message(message) => message.at,
        }
    }

    /// The fact, if it is one.
    pub fn event(&self) -> Option<&Event> {
        match &self.body {
            EventBody::Fact(record) => Some(&record.event),
            EventBody::Message(_) => None,
        }
    }

    /// The plan of the execution.
    pub fn plan(&self) -> &SharedPlan {
        &self.plan
    }

    /// The node that it is about, if it is about one.
    pub fn instance(&self) -> Option<Instance> {
        match &self.body {
            EventBody::Fact(record) => record.event.instance(),
            EventBody::Message(message) => Some(message.instance),
        }
    }

    /// The id of the node that it is about, if it is about one.
    pub fn node_id(&self) -> Option<&str> {
        self.instance().map(|instance| self.plan.graph().node(instance.node).id().as_str())
    }

    /// Whether it is the last event of its execution.
    pub fn is_last(&self) -> bool {
        matches!(self.event(), Some(Event::WorkflowCompleted { .. }))
    }
}

impl Serialize for ExecutionEvent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Flat::new(self).serialize(serializer)
    }
}

/// The flat JSON form of an event.
#[derive(Serialize)]
struct Flat<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    #[serde(serialize_with = "in_millis")]
    at: Timestamp,
    execution_id: ExecutionId,
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    workflow_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    node_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u32>,
    #[serde(flatten)]
    rest: FlatRest<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum FlatRest<'a> {
    Nothing {},
    Inputs {
        inputs: &'a Object,
    },
    Outputs {
        outputs: &'a NodeOutput,
        #[serde(skip_serializing_if = "Object::is_empty")]
        state_writes: &'a Object,
        #[serde(serialize_with = "in_millis")]
        started_at: Timestamp,
        duration_ms: f64,
    },
    Failure {
        outcome: FailureKind,
        error: &'a NodeError,
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_at: Option<String>,
        #[serde(serialize_with = "in_millis")]
        started_at: Timestamp,
        duration_ms: f64,
    },
    Skip {
        reason: SkipReason,
    },
    Cancel {
        reason: CancelReason,
        #[serde(skip_serializing_if = "Option::is_none")]
        by: Option<&'a str>,
    },
    Round {
        round: u32,
    },
    End {
        status: ExecutionStatus,
        #[serde(skip_serializing_if = "Option::is_none")]
        outputs: Option<&'a Value>,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<&'a ExecutionError>,
        #[serde(skip_serializing_if = "<[String]>::is_empty")]
        warnings: &'a [String],
    },
    Message {
        number: u64,
        after_seq: u64,
        #[serde(flatten)]
        event: &'a crate::node::NodeEvent,
    },
}

/// A moment for people and programs outside; the journal keeps microseconds.
fn in_millis<S: Serializer>(moment: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(moment)
}

/// Milliseconds with the precision of the clock.
pub(crate) fn millis(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}

impl<'a> Flat<'a> {
    fn new(event: &'a ExecutionEvent) -> Self {
        let (r#type, attempt, rest) = match &event.body {
            EventBody::Fact(record) => (record.event.name(), attempt(&record.event), rest(record)),
            EventBody::Message(message) => {
                let rest = FlatRest::Message {
                    number: message.number,
                    after_seq: message.after_seq,
                    event: &message.event,
                };
                ("NodeEvent", Some(message.attempt), rest)
            }
        };
        let is_first = matches!(event.event(), Some(Event::WorkflowStarted { .. }));
        Self {
            seq: event.seq(),
            at: event.at(),
            execution_id: event.execution_id,
            r#type,
            workflow_id: is_first.then(|| event.plan.workflow_id().as_str()),
            node_id: event.node_id(),
            attempt,
            rest,
        }
    }
}

fn attempt(event: &Event) -> Option<u32> {
    match event {
        Event::NodeStarted { attempt, .. }
        | Event::NodeCompleted { attempt, .. }
        | Event::NodeFailed { attempt, .. } => Some(*attempt),
        Event::WorkflowStarted { .. }
        | Event::WaitEnded { .. }
        | Event::NodeSkipped { .. }
        | Event::NodeCancelled { .. }
        | Event::CancelRequested { .. }
        | Event::RoundStarted { .. }
        | Event::WorkflowCompleted { .. } => None,
    }
}

fn rest(record: &Record) -> FlatRest<'_> {
    match &record.event {
        Event::WorkflowStarted { inputs } => FlatRest::Inputs { inputs },
        Event::NodeStarted { .. } | Event::WaitEnded { .. } => FlatRest::Nothing {},
        Event::NodeCompleted { outputs, state_writes, started_at, .. } => FlatRest::Outputs {
            outputs,
            state_writes,
            started_at: *started_at,
            duration_ms: millis(record.at.since(*started_at)),
        },
        Event::NodeFailed { outcome, error, then, started_at, .. } => FlatRest::Failure {
            outcome: *outcome,
            error,
            retry_at: match then {
                AfterFailure::Retry(at) => Some(at.to_string()),
                AfterFailure::ErrorPort
                | AfterFailure::Continue
                | AfterFailure::Stop
                | AfterFailure::NewRound
                | AfterFailure::Ending => None,
            },
            started_at: *started_at,
            duration_ms: millis(record.at.since(*started_at)),
        },
        Event::NodeSkipped { reason, .. } => FlatRest::Skip { reason: *reason },
        Event::NodeCancelled { reason, .. } => FlatRest::Cancel { reason: *reason, by: None },
        Event::CancelRequested { reason, by, .. } => {
            FlatRest::Cancel { reason: *reason, by: by.as_deref() }
        }
        Event::RoundStarted { round, .. } => FlatRest::Round { round: *round },
        Event::WorkflowCompleted { status, outputs, error, warnings } => FlatRest::End {
            status: *status,
            outputs: outputs.as_ref(),
            error: error.as_ref(),
            warnings,
        },
    }
}

//! The JSON form of events for those outside: one flat object.

use std::time::Duration;

use serde::Serialize;
use serde::ser::Serializer;

use super::{
    AfterFailure, CacheUse, Change, Event, EventBody, ExecutionError, ExecutionEvent, FailureKind,
    NotUndone, Opens, Part, PauseReason, Record, ScopeEnd, ScopeId, SkipReason, Wait, is_zero,
};
use crate::id::ExecutionId;
use crate::machine::{ExecutionStatus, KeptNode};
use crate::node::{CancelReason, NodeError, NodeOutput};
use crate::plan::Plan;
use crate::time::Timestamp;
use crate::value::{Object, Value};

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
        /// The nodes that have the results of an earlier execution.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        kept: Vec<&'a str>,
    },
    Outputs {
        outputs: &'a NodeOutput,
        #[serde(skip_serializing_if = "Object::is_empty")]
        state_writes: &'a Object,
        #[serde(serialize_with = "in_millis")]
        started_at: Timestamp,
        duration_ms: f64,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache: Option<CacheUse>,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        kept: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        changes: Option<&'a [Change]>,
        #[serde(skip_serializing_if = "is_zero")]
        changes_left_out: usize,
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
    Pause {
        reason: PauseReason,
        #[serde(skip_serializing_if = "Option::is_none")]
        code: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        by: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        dump: Option<&'a str>,
    },
    Resume {
        #[serde(skip_serializing_if = "Option::is_none")]
        by: Option<&'a str>,
    },
    Recovery {
        fence: u64,
        interrupted: u32,
    },
    Started {
        #[serde(skip_serializing_if = "Option::is_none")]
        items: Option<usize>,
    },
    Waiting {
        #[serde(skip_serializing_if = "Option::is_none")]
        until: Option<String>,
        wait: &'a Wait,
    },
    Stop {
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<&'a str>,
    },
    Signal {
        name: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        key: Option<&'a str>,
        payload: &'a Value,
    },
    Opened {
        scope: ScopeId,
        part: Part,
    },
    Closed {
        scope: ScopeId,
        end: &'a ScopeEnd,
    },
    Cleanup {
        #[serde(serialize_with = "in_millis")]
        until: Timestamp,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<&'a ExecutionError>,
    },
    Undo {
        scope: ScopeId,
        undoes: &'a str,
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
        #[serde(skip_serializing_if = "<[NotUndone]>::is_empty")]
        not_undone: &'a [NotUndone],
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
            EventBody::Fact(record) => {
                (record.event.name(), attempt(&record.event), rest(record, &event.plan))
            }
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
        | Event::NodeWaiting { attempt, .. }
        | Event::NodeCompleted { attempt, .. }
        | Event::NodeFailed { attempt, .. }
        | Event::NodeInterrupted { attempt, .. } => Some(*attempt),
        Event::WorkflowStarted { .. }
        | Event::WaitEnded { .. }
        | Event::NodeSkipped { .. }
        | Event::NodeCancelled { .. }
        | Event::CancelRequested { .. }
        | Event::Paused { .. }
        | Event::Resumed { .. }
        | Event::Recovered { .. }
        | Event::StopRequested { .. }
        | Event::SignalReceived { .. }
        | Event::ScopeOpened { .. }
        | Event::ScopeClosed { .. }
        | Event::CleanupStarted { .. }
        | Event::UndoStarted { .. }
        | Event::RoundStarted { .. }
        | Event::WorkflowCompleted { .. } => None,
    }
}

fn rest<'a>(record: &'a Record, plan: &'a Plan) -> FlatRest<'a> {
    match &record.event {
        Event::WorkflowStarted { inputs, kept } => {
            let kept = kept.iter().flat_map(|kept| kept.nodes());
            let id = |kept: &KeptNode| plan.graph().node(kept.node).id().as_str();
            FlatRest::Inputs { inputs, kept: kept.map(id).collect() }
        }
        Event::NodeStarted { opens, .. } => FlatRest::Started {
            items: match opens.as_deref() {
                Some(Opens::ForEach { items, .. }) => Some(items.len()),
                Some(Opens::Loop { .. } | Opens::Race | Opens::Try | Opens::Call { .. }) | None => {
                    None
                }
            },
        },
        Event::NodeWaiting { until, wait, .. } => {
            FlatRest::Waiting { until: until.map(|until| until.to_string()), wait }
        }
        Event::NodeInterrupted { .. } | Event::WaitEnded { .. } => FlatRest::Nothing {},
        Event::StopRequested { reason, .. } => FlatRest::Stop { reason: reason.as_deref() },
        Event::SignalReceived { name, key, payload, .. } => {
            FlatRest::Signal { name, key: key.as_deref(), payload }
        }
        Event::ScopeOpened { scope, part, .. } => FlatRest::Opened { scope: *scope, part: *part },
        Event::ScopeClosed { scope, end } => FlatRest::Closed { scope: *scope, end },
        Event::CleanupStarted { until, error } => {
            FlatRest::Cleanup { until: *until, error: error.as_deref() }
        }
        Event::UndoStarted { scope, node, .. } => FlatRest::Undo { scope: *scope, undoes: node },
        Event::NodeCompleted {
            outputs, state_writes, started_at, cache, kept, changes, ..
        } => FlatRest::Outputs {
            outputs,
            state_writes,
            started_at: *started_at,
            duration_ms: millis(record.at.since(*started_at)),
            cache: *cache,
            kept: *kept,
            changes: changes.as_ref().map(|changes| &*changes.list),
            changes_left_out: changes.as_ref().map_or(0, |changes| changes.left_out),
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
        Event::Paused { reason, by, dump, .. } => {
            let (code, by, dump) = (reason.code(), by.as_deref(), dump.as_deref());
            FlatRest::Pause { reason: *reason, code, by, dump }
        }
        Event::Recovered { fence, interrupted } => {
            FlatRest::Recovery { fence: *fence, interrupted: *interrupted }
        }
        Event::Resumed { by } => FlatRest::Resume { by: by.as_deref() },
        Event::RoundStarted { round, .. } => FlatRest::Round { round: *round },
        Event::WorkflowCompleted { status, outputs, error, warnings, not_undone } => {
            FlatRest::End {
                status: *status,
                outputs: outputs.as_ref(),
                error: error.as_ref(),
                warnings,
                not_undone,
            }
        }
    }
}

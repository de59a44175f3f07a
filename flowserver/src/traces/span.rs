//! Spans that are over, as they wait to be sent: small, and without any value of a workflow.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use flowcore::{ExecutionScope, ExecutionStatus, Instance, SpanId, Timestamp, TraceContext};
use opentelemetry::trace::{SpanContext, SpanKind, Status, TraceFlags, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue, SpanId as OtlpSpanId, TraceId as OtlpTraceId};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

use crate::metrics::Ending;

/// A span that is over.
#[derive(Debug)]
pub(super) enum Finished {
    Request(Request),
    Execution(Execution),
    Attempt(Attempt),
}

/// A request that was answered.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) span: TraceContext,
    pub(super) caller: Option<SpanId>,
    pub(super) method: &'static str,
    /// The route, with names for what differs: paths may hold what only few may know.
    pub(super) route: Option<String>,
    pub(super) status: u16,
    pub(super) request_id: String,
    pub(super) from: SystemTime,
    pub(super) took: Duration,
}

/// An execution that has ended.
#[derive(Debug)]
pub(super) struct Execution {
    pub(super) scope: Scope,
    pub(super) ended_at: Timestamp,
    pub(super) status: ExecutionStatus,
    pub(super) code: Option<String>,
}

/// An attempt that has ended.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) scope: Scope,
    pub(super) instance: Instance,
    pub(super) address: String,
    pub(super) attempt: u32,
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
    pub(super) ending: Ending,
    pub(super) code: Option<String>,
}

/// What an execution is.
#[derive(Clone)]
pub(super) struct Scope(pub(super) Arc<ExecutionScope>);

impl std::fmt::Debug for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Scope").field(&self.0.execution_id).finish()
    }
}

/// What all spans have.
struct Frame {
    span: TraceContext,
    parent: Option<SpanId>,
    /// Whether another program made the parent.
    parent_is_remote: bool,
    kind: SpanKind,
    name: Cow<'static, str>,
    from: SystemTime,
    to: SystemTime,
    status: Status,
    attributes: Vec<KeyValue>,
}

impl Finished {
    /// As the exporter takes it; `None` for what has no trace after all.
    pub(super) fn into_data(self, instrumentation: &InstrumentationScope) -> Option<SpanData> {
        let frame = match self {
            Self::Request(request) => request.frame(),
            Self::Execution(execution) => execution.frame()?,
            Self::Attempt(attempt) => attempt.frame()?,
        };
        let state = frame.span.tracestate().and_then(|state| state.parse().ok());
        let span_context = SpanContext::new(
            OtlpTraceId::from_bytes(*frame.span.trace_id.as_bytes()),
            OtlpSpanId::from_bytes(*frame.span.span_id.as_bytes()),
            TraceFlags::SAMPLED,
            false,
            state.unwrap_or_else(TraceState::default),
        );
        let parent = frame.parent.map(|parent| OtlpSpanId::from_bytes(*parent.as_bytes()));
        Some(SpanData {
            span_context,
            parent_span_id: parent.unwrap_or(OtlpSpanId::INVALID),
            parent_span_is_remote: frame.parent_is_remote,
            span_kind: frame.kind,
            name: frame.name,
            start_time: frame.from,
            end_time: frame.to.max(frame.from),
            attributes: frame.attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: frame.status,
            instrumentation_scope: instrumentation.clone(),
        })
    }
}

impl Request {
    fn frame(self) -> Frame {
        let mut attributes = vec![
            KeyValue::new("http.request.method", self.method),
            KeyValue::new("http.response.status_code", i64::from(self.status)),
            KeyValue::new("flow.request.id", self.request_id),
        ];
        let name = match &self.route {
            Some(route) => format!("{} {route}", self.method).into(),
            None => Cow::Borrowed(self.method),
        };
        attributes.extend(self.route.map(|route| KeyValue::new("http.route", route)));
        let is_failure = self.status >= 500;
        if is_failure {
            attributes.push(KeyValue::new("error.type", self.status.to_string()));
        }
        Frame {
            span: self.span,
            parent: self.caller,
            parent_is_remote: true,
            kind: SpanKind::Server,
            name,
            from: self.from,
            to: self.from + self.took,
            status: if is_failure { failure(None) } else { Status::Unset },
            attributes,
        }
    }
}

impl Execution {
    fn frame(self) -> Option<Frame> {
        let scope = &*self.scope.0;
        let trace = scope.trace.as_ref()?;
        let mut attributes = of_execution(scope);
        attributes.push(KeyValue::new("flow.status", self.status.to_string()));
        attributes.extend(self.code.clone().map(|code| KeyValue::new("error.type", code)));
        let is_good = self.status == ExecutionStatus::Succeeded;
        Some(Frame {
            span: trace.span().clone(),
            parent: trace.caller().map(|caller| caller.span_id),
            parent_is_remote: true,
            kind: SpanKind::Internal,
            name: format!("execute {}", scope.plan.workflow_id()).into(),
            from: moment(scope.started_at),
            to: moment(self.ended_at),
            status: if is_good { Status::Ok } else { failure(self.code) },
            attributes,
        })
    }
}

impl Attempt {
    fn frame(self) -> Option<Frame> {
        let scope = &*self.scope.0;
        let trace = scope.trace.as_ref()?;
        let node_type = &*scope.plan.spec(self.instance.node).node_type;
        let name = format!("{node_type} {}", self.address).into();
        let mut attributes = of_execution(scope);
        attributes.extend([
            KeyValue::new("flow.node.address", self.address),
            KeyValue::new("flow.node.type", node_type.to_owned()),
            KeyValue::new("flow.attempt", i64::from(self.attempt)),
            KeyValue::new("flow.status", self.ending.name()),
        ]);
        attributes.extend(self.code.clone().map(|code| KeyValue::new("error.type", code)));
        let is_good = self.ending == Ending::Succeeded;
        Some(Frame {
            span: trace.of_attempt(scope.execution_id, self.instance, self.attempt),
            parent: Some(trace.span().span_id),
            parent_is_remote: false,
            kind: SpanKind::Internal,
            name,
            from: moment(self.from),
            to: moment(self.to),
            status: if is_good { Status::Ok } else { failure(self.code) },
            attributes,
        })
    }
}

fn of_execution(scope: &ExecutionScope) -> Vec<KeyValue> {
    let mut attributes = Vec::with_capacity(8);
    attributes.push(KeyValue::new("flow.execution.id", scope.execution_id.to_string()));
    attributes.push(KeyValue::new("flow.workflow.id", scope.plan.workflow_id().to_string()));
    let version = scope.version.and_then(|version| i64::try_from(version).ok());
    attributes.extend(version.map(|version| KeyValue::new("flow.workflow.version", version)));
    attributes
}

/// A failure is described by its code alone: messages may quote values.
fn failure(code: Option<String>) -> Status {
    Status::Error { description: code.unwrap_or_default().into() }
}

fn moment(at: Timestamp) -> SystemTime {
    UNIX_EPOCH + at.since(Timestamp::default())
}

//! The span of a request, and what is started in it.

use std::time::{Duration, SystemTime};

use axum::http::{HeaderMap, Method};
use flowcore::{ExecutionId, SpanId, TraceContext, TraceId};
use flowruntime::PreparedExecution;
use uuid::Uuid;

use super::Traces;
use super::span::{Finished, Request};

/// Asked every few seconds, by machines: nobody looks for them.
const UNTRACED: [&str; 4] = ["/livez", "/healthz", "/readyz", "/metrics"];

tokio::task_local! {
    static CURRENT: Option<TraceContext>;
}

/// The span that whatever a request starts is to be a child of: its own or, where no spans are made,
/// that of its caller. `None` outside of requests.
fn current() -> Option<TraceContext> {
    CURRENT.try_with(Clone::clone).ok().flatten()
}

/// Makes an execution part of what the request does that starts it.
pub(crate) fn within(prepared: PreparedExecution) -> PreparedExecution {
    match current() {
        Some(caller) => prepared.caller(caller),
        None => prepared,
    }
}

/// Says in the log which execution a request has started.
pub(crate) fn accepted(id: ExecutionId) {
    let trace_id = current().map(|caller| tracing::field::display(caller.trace_id));
    tracing::debug!(execution_id = %id, trace_id, "an execution was accepted");
}

/// A request on its way.
pub(crate) struct RequestTrace {
    caller: Option<TraceContext>,
    /// Its own span, if it is to be sent.
    own: Option<(Traces, TraceContext)>,
    from: SystemTime,
}

impl RequestTrace {
    /// A request that came with these headers.
    pub(crate) fn begin(traces: Option<&Traces>, headers: &HeaderMap, route: Option<&str>) -> Self {
        let caller = caller(headers);
        let is_traced = route.is_none_or(|route| !UNTRACED.contains(&route));
        let own = traces.filter(|_| is_traced).and_then(|traces| {
            let (trace_id, span_id) = new_ids()?;
            let span = match &caller {
                Some(caller) => caller.with_span(span_id),
                None => TraceContext::new(trace_id, span_id),
            };
            Some((traces.clone(), span))
        });
        Self { caller, own, from: SystemTime::now() }
    }

    /// Its span, or that of its caller.
    fn context(&self) -> Option<&TraceContext> {
        self.own.as_ref().map(|(_, span)| span).or(self.caller.as_ref())
    }

    /// The trace that it belongs to.
    pub(crate) fn trace_id(&self) -> Option<TraceId> {
        self.context().map(|context| context.trace_id)
    }

    /// Does something as part of it.
    pub(crate) fn inside<F: Future>(&self, work: F) -> impl Future<Output = F::Output> + use<F> {
        CURRENT.scope(self.context().cloned(), work)
    }

    /// It was answered.
    pub(crate) fn end(
        self,
        method: &Method,
        route: Option<&str>,
        status: u16,
        request_id: &str,
        took: Duration,
    ) {
        let Some((traces, span)) = self.own.filter(|(_, span)| span.is_sampled()) else { return };
        traces.send(Finished::Request(Request {
            span,
            caller: self.caller.map(|caller| caller.span_id),
            method: known(method),
            route: route.map(str::to_owned),
            status,
            request_id: request_id.to_owned(),
            from: self.from,
            took,
        }));
    }
}

/// What the caller says of its span. One that cannot be read is none, and so are two.
fn caller(headers: &HeaderMap) -> Option<TraceContext> {
    let mut parents = headers.get_all("traceparent").iter();
    let parent = parents.next()?.to_str().ok()?;
    if parents.next().is_some() {
        return None;
    }
    let states = headers.get_all("tracestate").iter();
    let states: Vec<&str> = states.filter_map(|state| state.to_str().ok()).collect();
    TraceContext::read(parent, Some(&states.join(","))).ok()
}

/// A new trace and a new span. The last half of such a UUID is random.
fn new_ids() -> Option<(TraceId, SpanId)> {
    let (trace, span) = (Uuid::now_v7(), Uuid::now_v7());
    let (_, random) = span.as_bytes().split_last_chunk()?;
    Some((TraceId::from_bytes(*trace.as_bytes())?, SpanId::from_bytes(*random)?))
}

/// The methods that there are; a name that somebody has made up is none of them.
fn known(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        "CONNECT" => "CONNECT",
        "TRACE" => "TRACE",
        _ => "_OTHER",
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[tokio::test]
    async fn what_a_request_starts_follows_its_caller() {
        let mut headers = HeaderMap::new();
        headers.append("traceparent", HeaderValue::from_static(PARENT));
        headers.append("tracestate", HeaderValue::from_static("a=b"));
        headers.append("tracestate", HeaderValue::from_static("c=d"));
        let trace = RequestTrace::begin(None, &headers, Some("/x"));
        let inside = trace.inside(async { current() }).await.unwrap();
        assert_eq!((inside.to_string().as_str(), inside.tracestate()), (PARENT, Some("a=b,c=d")));
        assert_eq!(current(), None);
        // Two parents are none.
        headers.append("traceparent", HeaderValue::from_static(PARENT));
        assert_eq!(RequestTrace::begin(None, &headers, None).trace_id(), None);
    }

    #[test]
    fn new_ids_differ() {
        let (one, other) = (new_ids().unwrap(), new_ids().unwrap());
        assert!(one.0 != other.0 && one.1 != other.1);
    }
}

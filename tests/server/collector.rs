//! Whoever collects spans, and a server that nodes ask for something.

use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{any, post};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode as SpanStatus;
use prost::Message;

/// What does not come for so long never will.
const PATIENCE: Duration = Duration::from_secs(60);

/// Takes spans at `/v1/traces`, and tells whom nodes said to ask: `/seen` answers, `/held` does not
/// answer who asks first, and `/missing` is not there.
pub(crate) struct Collector {
    address: SocketAddr,
    shared: Arc<Shared>,
    runtime: Option<tokio::runtime::Runtime>,
}

#[derive(Default)]
struct Shared {
    got: Mutex<Got>,
    more: Condvar,
}

/// All that has come.
#[derive(Debug, Default)]
pub(crate) struct Got {
    pub(crate) spans: Vec<Span>,
    /// `traceparent` and `tracestate` of requests of nodes.
    pub(crate) asked: Vec<(Option<String>, Option<String>)>,
    /// Of the last export.
    pub(crate) headers: HeaderMap,
}

/// A span, with its ids in hexadecimal.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Span {
    pub(crate) service: String,
    /// Which process made it.
    pub(crate) process: String,
    pub(crate) name: String,
    pub(crate) trace: String,
    pub(crate) id: String,
    /// Empty when there is none.
    pub(crate) parent: String,
    pub(crate) is_server: bool,
    pub(crate) failure: Option<String>,
    pub(crate) attributes: Vec<(String, String)>,
    pub(crate) from: u64,
    pub(crate) to: u64,
}

impl Span {
    #[track_caller]
    pub(crate) fn attribute(&self, name: &str) -> &str {
        let found = self.attributes.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| &**value).unwrap_or_else(|| panic!("no {name}: {self:?}"))
    }
}

impl Got {
    /// The spans of this name.
    pub(crate) fn named(&self, name: &str) -> Vec<Span> {
        self.spans.iter().filter(|span| span.name == name).cloned().collect()
    }
}

impl Collector {
    pub(crate) fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = { runtime }.worker_threads(1).enable_all().build().unwrap();
        let shared = Arc::<Shared>::default();
        let router = Router::new()
            .route("/v1/traces", post(take))
            .route("/seen", any(seen))
            .route("/held", any(held))
            .with_state(shared.clone());
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, shared, runtime: Some(runtime) }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// As `--allow-target` takes it.
    pub(crate) fn target(&self) -> String {
        self.address.to_string()
    }

    /// Waits until something holds of all that has come, and gives that.
    #[track_caller]
    pub(crate) fn until<T>(&self, what: &str, holds: impl Fn(&Got) -> Option<T>) -> T {
        let until = Instant::now() + PATIENCE;
        let mut got = self.shared.got.lock().unwrap();
        loop {
            if let Some(found) = holds(&got) {
                return found;
            }
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{what}: {got:#?}");
            got = self.shared.more.wait_timeout(got, left).unwrap().0;
        }
    }

    /// Waits for a span of this name.
    #[track_caller]
    pub(crate) fn span(&self, name: &str) -> Span {
        self.until(name, |got| got.named(name).into_iter().next())
    }

    /// How often nodes have asked, and what they said last.
    pub(crate) fn asked(&self) -> Vec<(Option<String>, Option<String>)> {
        self.shared.got.lock().unwrap().asked.clone()
    }

    pub(crate) fn spans(&self) -> Vec<Span> {
        self.shared.got.lock().unwrap().spans.clone()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        // Who holds a request would hold it up.
        self.runtime.take().unwrap().shutdown_background();
    }
}

impl Shared {
    fn add(&self, add: impl FnOnce(&mut Got)) {
        add(&mut self.got.lock().unwrap());
        self.more.notify_all();
    }
}

async fn take(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let Ok(export) = ExportTraceServiceRequest::decode(body) else {
        return StatusCode::BAD_REQUEST;
    };
    let mut spans = Vec::new();
    for of_resource in export.resource_spans {
        let attributes = texts(&of_resource.resource.unwrap_or_default().attributes);
        let text = |name: &str| {
            let found = attributes.iter().find(|(key, _)| key == name);
            found.map(|(_, value)| value.clone()).unwrap_or_default()
        };
        let all = of_resource.scope_spans.into_iter().flat_map(|of_scope| of_scope.spans);
        spans.extend(all.map(|span| {
            let status = span.status.unwrap_or_default();
            Span {
                service: text("service.name"),
                process: text("service.instance.id"),
                name: span.name,
                trace: hex(&span.trace_id),
                id: hex(&span.span_id),
                parent: hex(&span.parent_span_id),
                is_server: span.kind == SpanKind::Server as i32,
                failure: (status.code == SpanStatus::Error as i32).then_some(status.message),
                attributes: texts(&span.attributes),
                from: span.start_time_unix_nano,
                to: span.end_time_unix_nano,
            }
        }));
    }
    shared.add(|got| {
        got.spans.extend(spans);
        got.headers = headers;
    });
    StatusCode::OK
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn texts(attributes: &[KeyValue]) -> Vec<(String, String)> {
    let text = |value: &Value| match value {
        Value::StringValue(text) => text.clone(),
        Value::IntValue(number) => number.to_string(),
        other => format!("{other:?}"),
    };
    let text = |attribute: &KeyValue| {
        let value = attribute.value.as_ref().and_then(|value| value.value.as_ref());
        (attribute.key.clone(), value.map(text).unwrap_or_default())
    };
    attributes.iter().map(text).collect()
}

fn note(shared: &Shared, headers: &HeaderMap) -> usize {
    let header = |name: &str| headers.get(name).map(|text| text.to_str().unwrap().to_owned());
    let asked = (header("traceparent"), header("tracestate"));
    let mut count = 0;
    shared.add(|got| {
        got.asked.push(asked);
        count = got.asked.len();
    });
    count
}

async fn seen(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> &'static str {
    note(&shared, &headers);
    "canary-in-an-answer"
}

async fn held(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> &'static str {
    if note(&shared, &headers) == 1 {
        std::future::pending::<()>().await;
    }
    "at last"
}

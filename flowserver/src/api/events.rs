//! Events as they happen, by server-sent events.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use flowcore::{EventBody, ExecutionEvent};
use flowruntime::Follow;
use futures_util::{StreamExt, stream};
use schemars::JsonSchema;
use serde::Deserialize;

use super::executions::own;
use super::pages::{Named, Params};
use super::start::not_found;
use crate::app::App;
use crate::auth::{Caller, Role};
use crate::problem::Problem;
use crate::route::{Route, route};

/// How often a silent stream says that it lives.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// How long a client waits before it connects again.
const RETRY: Duration = Duration::from_secs(2);

/// For proxies that would hold a stream back.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

pub(super) fn routes() -> Vec<Route> {
    vec![
        route(Method::GET, "/api/v1/executions/{id}/events", Role::Viewer, events)
            .about("executions.events", "Its events, those that were and then those that come")
            .query::<EventsQuery>()
            .header("Last-Event-ID", "Goes on after this event")
            .answers_with(200, "text/event-stream", None)
            .problems(&[404, 503]),
    ]
}

/// From where events are wanted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct EventsQuery {
    /// Only those after this number.
    after: Option<u64>,
    /// As records, which the events of an export are too: a client that has the workflow sees by them
    /// all that the server sees.
    #[serde(default)]
    records: bool,
}

async fn events(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(id): Named<String>,
    Params(query): Params<EventsQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
    let after = last.or(query.after).unwrap_or(0);
    let row = own(&app, &caller, &id).await?;
    let follow = app.runtime.follow(row.id, after).await?.ok_or_else(|| not_found(&id))?;
    let draining = app.draining.clone();
    let counted = app.metrics.stream();
    // What a client has not read stays in the store: the next event is asked for when it has.
    let write = if query.records { write_record } else { write_event };
    let events = stream::unfold(Some(follow), move |follow| next(follow, write))
        .take_until(async move { draining.begins().await })
        // It is counted as long as it lives.
        .map(move |event| {
            let _ = &counted;
            event
        });
    let sse = Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
    let unbuffered = [(ACCEL_BUFFERING, HeaderValue::from_static("no"))];
    Ok((unbuffered, sse).into_response())
}

/// The next event. One that cannot be read is told, and is the last.
async fn next(
    follow: Option<Follow>,
    write: fn(&ExecutionEvent) -> String,
) -> Option<(Result<Event, Infallible>, Option<Follow>)> {
    let mut follow = follow?;
    match follow.next().await {
        Ok(Some(event)) => Some((Ok(to_sse(&event, write(&event))), Some(follow))),
        Ok(None) => None,
        Err(error) => {
            let problem = Problem::from(error);
            Some((Ok(Event::default().event("problem").data(problem.to_json())), None))
        }
    }
}

fn write_event(event: &ExecutionEvent) -> String {
    serde_json::to_string(event).expect("it has string keys only")
}

fn write_record(event: &ExecutionEvent) -> String {
    let text = match &event.body {
        EventBody::Fact(record) => serde_json::to_string(&**record),
        EventBody::Message(message) => serde_json::to_string(&**message),
    };
    text.expect("it has string keys only")
}

/// Only what stands in the journal has an id: a client that comes again goes on after it.
fn to_sse(event: &ExecutionEvent, text: String) -> Event {
    let name = match event.event() {
        Some(fact) => fact.name(),
        None => "NodeEvent",
    };
    let sse = Event::default().event(name).data(text);
    match event.seq() {
        Some(1) => sse.id("1").retry(RETRY),
        Some(seq) => sse.id(seq.to_string()),
        None => sse,
    }
}

//! Events as they happen, of one execution or of all of a project, by server-sent events and over
//! WebSocket.

use std::str::FromStr;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, Method};
use axum::response::Response;
use flowcore::{EventBody, ExecutionEvent, WorkflowId};
use flowruntime::Follow;
use flowruntime::store::StoreError;
use futures_util::{Stream, StreamExt, stream};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::executions::own;
use super::live::{Items, Next, Socket, to_sse};
use super::pages::{Named, Params, bad_cursor};
use super::start::not_found;
use crate::app::App;
use crate::auth::{Caller, Role};
use crate::feed::{Cursor, Heard, Reader, Wanted};
use crate::problem::Problem;
use crate::route::{Route, route};

/// The most types of events that may be asked for: there are fewer.
const MOST_TYPES: usize = 64;

pub(super) fn routes() -> Vec<Route> {
    let of_one = "/api/v1/executions/{id}/events";
    let of_all = "/api/v1/events";
    vec![
        route(Method::GET, of_one, Role::Viewer, events)
            .about("executions.events", "Its events, those that were and then those that come")
            .query::<EventsQuery>()
            .header("Last-Event-ID", "Goes on after this event")
            .answers_with(200, "text/event-stream", None),
        route(Method::GET, "/api/v1/executions/{id}/events/ws", Role::Viewer, events_ws)
            .about("executions.events.ws", "Its events, over WebSocket")
            .query::<EventsQuery>()
            .answers_nothing(101)
            .problems(&[426]),
        route(Method::GET, of_all, Role::Viewer, all_events)
            .about("events", "The events of all executions, as they happen")
            .query::<AllQuery>()
            .header("Last-Event-ID", "Goes on after this event")
            .answers_with(200, "text/event-stream", None),
        route(Method::GET, "/api/v1/events/ws", Role::Viewer, all_events_ws)
            .about("events.ws", "The events of all executions, over WebSocket")
            .query::<AllQuery>()
            .answers_nothing(101)
            .problems(&[426]),
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

/// Which events are wanted, and from where.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AllQuery {
    /// Also those since: the `cursor` of an event.
    after: Option<String>,
    /// Only those of this workflow.
    workflow: Option<String>,
    /// Only those of these types, such as `WorkflowStarted,WorkflowCompleted`.
    types: Option<String>,
}

/// What a browser that connects again says of the last event that it has.
fn last_event<T: FromStr>(headers: &HeaderMap) -> Option<T> {
    headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok())
}

async fn events(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(id): Named<String>,
    Params(query): Params<EventsQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let after = last_event(&headers).or(query.after).unwrap_or(0);
    let items = of_one(&app, &caller, &id, after, query.records).await?;
    Ok(to_sse(&app, &caller, items))
}

async fn events_ws(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(id): Named<String>,
    Params(query): Params<EventsQuery>,
    socket: Socket,
) -> Result<Response, Problem> {
    let after = query.after.unwrap_or(0);
    let items = of_one(&app, &caller, &id, after, query.records).await?;
    socket.tell(app, caller, items)
}

async fn all_events(
    State(app): State<Arc<App>>,
    caller: Caller,
    Params(query): Params<AllQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let items = of_all(&app, &caller, query, last_event(&headers)).await?;
    Ok(to_sse(&app, &caller, items))
}

async fn all_events_ws(
    State(app): State<Arc<App>>,
    caller: Caller,
    Params(query): Params<AllQuery>,
    socket: Socket,
) -> Result<Response, Problem> {
    // Whoever speaks no WebSocket makes nobody listen.
    socket.check()?;
    let items = of_all(&app, &caller, query, None).await?;
    socket.tell(app, caller, items)
}

/// The events of an execution. What a client has not read stays in the store: the next event is asked
/// for when it has.
async fn of_one(
    app: &App,
    caller: &Caller,
    id: &str,
    after: u64,
    as_records: bool,
) -> Result<Items, Problem> {
    let row = own(app, caller, id).await?;
    let follow = app.runtime.follow(row.id, after).await?.ok_or_else(|| not_found(id))?;
    let write = if as_records { write_record } else { write_event };
    Ok(counted(app, stream::unfold(Some(follow), move |follow| next_of_one(follow, write))))
}

/// They are counted as long as somebody listens.
fn counted(app: &App, items: impl Stream<Item = Next> + Send + 'static) -> Items {
    let counted = app.metrics.stream();
    items.inspect(move |_| _ = &counted).boxed()
}

/// The next event. One that cannot be read is told, and is the last.
async fn next_of_one(
    follow: Option<Follow>,
    write: fn(&ExecutionEvent) -> String,
) -> Option<(Next, Option<Follow>)> {
    let mut follow = follow?;
    match follow.next().await {
        Ok(Some(event)) => Some((of_event(&event, write(&event)), Some(follow))),
        Ok(None) => None,
        Err(error) => Some((Next::Problem(error.into()), None)),
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
fn of_event(event: &ExecutionEvent, text: String) -> Next {
    let name = event.event().map_or("NodeEvent", |fact| fact.name());
    Next::Event { id: event.seq().map(|seq| seq.to_string()), name, text }
}

/// The events of a project.
async fn of_all(
    app: &App,
    caller: &Caller,
    query: AllQuery,
    last: Option<Cursor>,
) -> Result<Items, Problem> {
    let bad = |detail: String| Problem::bad_request("request.bad_query", detail);
    let workflow = query.workflow.map(WorkflowId::new).transpose();
    let workflow = workflow.map_err(|error| bad(format!("`workflow`: {error}")))?;
    let types: Vec<String> = match &query.types {
        Some(text) => text.split(',').map(|name| name.trim().to_owned()).collect(),
        None => Vec::new(),
    };
    let is_name = |name: &String| {
        !name.is_empty() && name.len() <= 64 && name.bytes().all(|byte| byte.is_ascii_alphabetic())
    };
    if types.len() > MOST_TYPES || !types.iter().all(is_name) {
        return Err(bad("`types` are types of events, such as `NodeFailed,Paused`".to_owned()));
    }
    let after = query.after.map(|text| text.parse().map_err(|_| bad_cursor())).transpose()?;
    let wanted = Wanted { workflow, types };
    let reader = app.feeds.listen(caller.project(), wanted, last.or(after)).await?;
    Ok(counted(app, stream::unfold(Some(reader), next_of_all)))
}

async fn next_of_all(reader: Option<Reader>) -> Option<(Next, Option<Reader>)> {
    let mut reader = reader?;
    let heard = match reader.next().await {
        Ok(heard) => heard?,
        Err(error) => return Some((Next::Problem(StoreError::into(error)), None)),
    };
    let named = |name, cursor: Option<Cursor>| {
        let id = cursor.map(|cursor| cursor.to_string());
        let text = json!({"type": name, "cursor": id}).to_string();
        (id, text)
    };
    Some(match heard {
        Heard::Event(told) => {
            let (id, text) = (Some(told.cursor.to_string()), told.text.clone());
            (Next::Event { id, name: told.name, text }, Some(reader))
        }
        Heard::Listening(cursor) => {
            let (id, text) = named("Listening", Some(cursor));
            (Next::Event { id, name: "Listening", text }, Some(reader))
        }
        Heard::Gap(cursor) => {
            let (id, text) = named("Gap", cursor);
            (Next::Gap { id, text }, None)
        }
    })
}

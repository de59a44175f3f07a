//! Server-sent events.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{FutureExt, StreamExt};

use super::{Items, KEEP_ALIVE, Next, over};
use crate::app::App;
use crate::auth::Caller;

/// How long a client waits before it connects again.
const RETRY: Duration = Duration::from_secs(2);

/// For proxies that would hold a stream back.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// The answer that tells all of it. The next item is asked for when the client has taken the last one.
pub(in super::super) fn to_sse(app: &Arc<App>, caller: &Caller, items: Items) -> Response {
    let (app, caller) = (app.clone(), caller.clone());
    let over = async move { over(&app, &caller).await }.map(drop);
    let mut is_first = true;
    let events = items.take_until(over).map(move |next| {
        let event = to_event(&next);
        let event = if std::mem::take(&mut is_first) { event.retry(RETRY) } else { event };
        Ok::<_, Infallible>(event)
    });
    let sse = Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
    let unbuffered = [(ACCEL_BUFFERING, HeaderValue::from_static("no"))];
    (unbuffered, sse).into_response()
}

fn to_event(next: &Next) -> Event {
    let (id, name, text) = match next {
        Next::Event { id, name, text } => (id, *name, text),
        Next::Gap { id, text } => (id, "Gap", text),
        Next::Problem(problem) => {
            return Event::default().event("problem").data(problem.to_json());
        }
    };
    let event = Event::default().event(name).data(text);
    match id {
        Some(id) => event.id(id),
        None => event,
    }
}

//! Events of other systems start executions.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use flowcore::{Value, is_topic};
use flownodes::event::Publication;
use schemars::JsonSchema;
use serde::Deserialize;
use uuid::Uuid;

use crate::app::App;
use crate::audit;
use crate::auth::{Caller, Role};
use crate::body::Body;
use crate::documents;
use crate::problem::Problem;
use crate::route::{Route, route};
use crate::triggers;

/// The longest id of an event.
const MOST_ID: usize = 256;

pub(super) fn routes() -> Vec<Route> {
    vec![
        route(Method::POST, "/api/v1/events", Role::Operator, publish)
            .about(
                "events.publish",
                "Starts an execution for every trigger that listens to a topic",
            )
            .body::<NewEvent>()
            .answers::<documents::Published>(202),
    ]
}

/// An event.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewEvent {
    /// The topic, such as `orders.paid`.
    topic: String,
    /// What it says.
    #[serde(default)]
    #[schemars(with = "serde_json::Value")]
    data: Value,
    /// Names the event: publishing it again starts nothing twice, for 7 days.
    id: Option<String>,
}

async fn publish(
    State(app): State<Arc<App>>,
    caller: Caller,
    Body(asked): Body<NewEvent>,
) -> Result<Response, Problem> {
    if !is_topic(&asked.topic) {
        let detail = format!("`{}` is not a topic", asked.topic);
        return Err(Problem::unprocessable("event.bad_topic", detail)
            .hint("a topic is made of names with `.` between them, such as `orders.paid`"));
    }
    let is_good = |id: &String| {
        (1..=MOST_ID).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
    };
    if asked.id.as_ref().is_some_and(|id| !is_good(id)) {
        let detail = format!("`id` has 1 to {MOST_ID} visible ASCII characters");
        return Err(Problem::unprocessable("event.bad_id", detail));
    }
    let event = Publication {
        project: caller.project().clone(),
        id: asked.id.unwrap_or_else(|| Uuid::now_v7().to_string()),
        topic: asked.topic,
        data: asked.data,
        hops: 1,
    };
    let entry =
        |action: &str, subject: &str, more| audit::entry_with(&caller, action, subject, more);
    let deliveries = triggers::publish(&app, &event, &entry).await?;
    let deliveries = deliveries.into_iter().map(|one| documents::Delivery {
        workflow_id: one.workflow_id,
        trigger: one.trigger,
        version: one.version,
        execution_id: one.execution_id,
        reason: one.reason,
    });
    let (id, topic) = (event.id, event.topic);
    let document = documents::Published { id, topic, deliveries: deliveries.collect() };
    Ok((StatusCode::ACCEPTED, Json(document)).into_response())
}

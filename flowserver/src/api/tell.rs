//! Executions that are told something: to stop, to hold, to go on, and what their nodes wait for.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use flowcore::{ExecutionId, Object, Value};
use flowruntime::history::ExecutionSummary;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::executions::own;
use super::pages::Named;
use super::start::not_found;
use crate::app::App;
use crate::audit;
use crate::auth::{Caller, Role};
use crate::body::Body;
use crate::documents;
use crate::problem::Problem;
use crate::route::{Route, route};

pub(super) fn routes() -> Vec<Route> {
    vec![
        route(Method::POST, "/api/v1/executions/{id}/cancel", Role::Operator, cancel)
            .about("executions.cancel", "Asks an execution to stop; it will")
            .answers::<documents::ExecutionSummary>(202)
            .problems(&[409]),
        route(Method::POST, "/api/v1/executions/{id}/pause", Role::Operator, pause)
            .about("executions.pause", "Starts nothing more until it is resumed")
            .answers::<documents::ExecutionSummary>(202)
            .problems(&[409]),
        route(Method::POST, "/api/v1/executions/{id}/resume", Role::Operator, resume)
            .about("executions.resume", "Goes on after a pause")
            .answers::<documents::ExecutionSummary>(202)
            .problems(&[409]),
        route(Method::POST, "/api/v1/executions/{id}/signals/{name}", Role::Operator, signal)
            .about("executions.signal", "Sends a signal that a node waits for, or will")
            .body::<SignalBody>()
            .answers::<documents::ExecutionSummary>(202)
            .problems(&[409]),
        route(Method::POST, "/api/v1/executions/{id}/approvals/{name}", Role::Operator, approve)
            .about("executions.approve", "Answers a node that waits for an approval")
            .body::<ApprovalBody>()
            .answers::<documents::ExecutionSummary>(202)
            .problems(&[409]),
    ]
}

/// How it stands after it was told something.
async fn told(app: &App, id: ExecutionId) -> Result<Response, Problem> {
    let row = app.home.execution(id).await?.ok_or_else(|| not_found(&id.to_string()))?;
    Ok((StatusCode::ACCEPTED, Json(ExecutionSummary::from(&row))).into_response())
}

/// What needs no more words.
#[derive(Clone, Copy)]
enum Word {
    Cancel,
    Pause,
    Resume,
}

async fn tell(app: &App, caller: &Caller, id: &str, word: Word) -> Result<Response, Problem> {
    let id = own(app, caller, id).await?.id;
    let action = match word {
        Word::Cancel => "execution.cancel",
        Word::Pause => "execution.pause",
        Word::Resume => "execution.resume",
    };
    let entry = audit::entry(caller, action, &id.to_string());
    let (tell, by) = (app.runtime.tell(id).audit(entry), Some(caller.name()));
    match word {
        Word::Cancel => tell.cancel(by).await?,
        Word::Pause => tell.pause(by).await?,
        Word::Resume => tell.resume(by).await?,
    }
    told(app, id).await
}

async fn cancel(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(id): Named<String>,
) -> Result<Response, Problem> {
    tell(&app, &caller, &id, Word::Cancel).await
}

async fn pause(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(id): Named<String>,
) -> Result<Response, Problem> {
    tell(&app, &caller, &id, Word::Pause).await
}

async fn resume(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(id): Named<String>,
) -> Result<Response, Problem> {
    tell(&app, &caller, &id, Word::Resume).await
}

/// A signal.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SignalBody {
    /// Which of those who wait it is for, where they have keys.
    key: Option<String>,
    /// What comes with it.
    #[serde(default)]
    #[schemars(with = "serde_json::Value")]
    payload: Value,
}

async fn signal(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named((id, name)): Named<(String, String)>,
    Body(body): Body<SignalBody>,
) -> Result<Response, Problem> {
    let id = own(&app, &caller, &id).await?.id;
    // What comes with it is nobody's business here.
    let more = [("signal", json!(name)), ("key", json!(body.key))];
    let entry = audit::entry_with(&caller, "execution.signal", &id.to_string(), more);
    app.runtime.tell(id).audit(entry).signal(&name, body.key.as_deref(), body.payload).await?;
    told(&app, id).await
}

/// An answer to who asks for an approval.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ApprovalBody {
    /// Yes or no.
    approved: bool,
    /// Why.
    reason: Option<String>,
    /// Which of those who wait it is for, where they have keys.
    key: Option<String>,
}

async fn approve(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named((id, name)): Named<(String, String)>,
    Body(body): Body<ApprovalBody>,
) -> Result<Response, Problem> {
    let id = own(&app, &caller, &id).await?.id;
    let mut payload = Object::new();
    let entries = [
        ("approved", Some(Value::from(body.approved))),
        ("by", Some(Value::from(caller.name()))),
        ("reason", body.reason.map(Value::from)),
    ];
    for (name, value) in entries {
        if let Some(value) = value {
            payload
                .insert(name, value)
                .map_err(|error| Problem::unprocessable(error.code(), error.to_string()))?;
        }
    }
    let more =
        [("approval", json!(name)), ("key", json!(body.key)), ("approved", json!(body.approved))];
    let entry = audit::entry_with(&caller, "execution.approve", &id.to_string(), more);
    app.runtime.tell(id).audit(entry).signal(&name, body.key.as_deref(), payload).await?;
    told(&app, id).await
}

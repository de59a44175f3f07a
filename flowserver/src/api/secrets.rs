//! Secrets: given, listed without their values, and deleted.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Deserialize;

use super::pages::{Named, Params, Part, cut, limit};
use crate::app::App;
use crate::audit;
use crate::auth::{Caller, Role};
use crate::body::Body;
use crate::documents::{Page, SecretSummary};
use crate::problem::Problem;
use crate::route::{Route, route};
use crate::secrets::{Known, MOST_VALUE, SaveError, is_name};

pub(super) fn routes() -> Vec<Route> {
    vec![
        route(Method::GET, "/api/v1/secrets", Role::Viewer, list)
            .about("secrets.list", "The secrets of the project by name, without their values")
            .query::<Part>()
            .answers::<Page<SecretSummary>>(200),
        route(Method::PUT, "/api/v1/secrets/{name}", Role::Editor, put)
            .about("secrets.put", "Gives a secret its value, which nobody is ever shown")
            .body::<NewValue>()
            .answers::<SecretSummary>(200)
            .answers::<SecretSummary>(201)
            .problems(&[409]),
        route(Method::DELETE, "/api/v1/secrets/{name}", Role::Editor, delete)
            .about("secrets.delete", "Deletes a secret; executions that have it keep it")
            .answers_nothing(204),
    ]
}

/// What a secret is from now on. It has no `Debug`, so that no log shows it.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewValue {
    /// The value, of at most 64 KiB.
    value: String,
}

fn summary(name: &str, known: &Known) -> SecretSummary {
    SecretSummary {
        name: name.to_owned(),
        version: known.version,
        updated_at: known.at.to_string(),
        fingerprint: known.fingerprint.clone(),
    }
}

async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Params(asked): Params<Part>,
) -> Result<Json<Page<SecretSummary>>, Problem> {
    let limit = limit(asked.limit)?;
    // What was given a moment ago on another server may not have been noticed yet.
    app.look().await?;
    let mut found = app.secrets.list(caller.project(), asked.cursor.as_deref(), limit + 1);
    let next_cursor = cut(&mut found, limit, |(name, _)| name.clone());
    let items = found.iter().map(|(name, known)| summary(name, known)).collect();
    Ok(Json(Page { items, next_cursor }))
}

async fn put(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(name): Named<String>,
    Body(asked): Body<NewValue>,
) -> Result<Response, Problem> {
    if !is_name(&name) {
        let detail = "a secret is called as in `secrets.<name>`: at most 128 letters, digits and \
                      `_`, and no digit first";
        return Err(Problem::unprocessable("secret.bad_name", detail));
    }
    if asked.value.is_empty() || asked.value.len() > MOST_VALUE {
        let detail = format!("`value` has 1 to {MOST_VALUE} bytes");
        return Err(Problem::unprocessable("secret.bad_value", detail));
    }
    let entry = |is_new| {
        let action = if is_new { "secret.create" } else { "secret.replace" };
        audit::entry(&caller, action, &name)
    };
    let saved = app.secrets.save(caller.project(), &name, &asked.value, entry).await;
    let (known, is_new) = saved.map_err(|error| match error {
        SaveError::Store(error) => error.into(),
        SaveError::NoKey => {
            let detail = "the server has no sealing key, and keeps no secrets";
            Problem::new(StatusCode::CONFLICT, "secret.no_sealing_key", detail)
                .hint("start all servers of the database with the same `--sealing-key FILE`")
        }
    })?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(summary(&name, &known))).into_response())
}

async fn delete(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(name): Named<String>,
) -> Result<StatusCode, Problem> {
    let not_found =
        || Problem::not_found("secret.not_found", format!("there is no secret `{name}`"));
    if !is_name(&name) {
        return Err(not_found());
    }
    let entry = audit::entry(&caller, "secret.delete", &name);
    match app.secrets.delete(caller.project(), &name, entry).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(not_found()),
    }
}

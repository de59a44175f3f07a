//! Workflows that are saved, each with its versions.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use flowcore::{Checked, Durability, Source, Workflow, WorkflowId, check_with_secrets};
use flowruntime::StartError;
use flowstore::{Committed, Expect, Record};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;

use super::in_memory;
use super::pages::{Named, Params, Part, bad_cursor, cut, limit};
use super::start::{How, Inputs, StartQuery, start};
use crate::app::App;
use crate::audit;
use crate::auth::{Caller, Role};
use crate::body::{Body, WorkflowText};
use crate::documents::{self, Page};
use crate::problem::Problem;
use crate::route::{Route, route};
use crate::triggers;
use crate::workflows::Saved;

pub(super) fn routes() -> Vec<Route> {
    vec![
        route(Method::GET, "/api/v1/workflows", Role::Viewer, list)
            .about("workflows.list", "The workflows that are saved, by id")
            .query::<Part>()
            .answers::<Page<documents::WorkflowSummary>>(200),
        route(Method::POST, "/api/v1/workflows", Role::Editor, create)
            .about("workflows.create", "Saves a new workflow; its id stands in it")
            .body::<documents::WorkflowFile>()
            .answers::<documents::SavedWorkflow>(201)
            .problems(&[409]),
        route(Method::POST, "/api/v1/workflows/validate", Role::Viewer, validate)
            .about(
                "workflows.validate",
                "Checks a workflow whole; nothing is saved and nothing runs",
            )
            .any_body::<documents::WorkflowFile>()
            .answers::<documents::Validation>(200),
        route(Method::GET, "/api/v1/workflows/{id}", Role::Viewer, get)
            .about("workflows.get", "A workflow: its current version, or another one")
            .query::<GetQuery>()
            .header("If-None-Match", "Answers 304 when the version is this one")
            .answers::<documents::SavedWorkflow>(200)
            .answers_nothing(304),
        route(Method::PUT, "/api/v1/workflows/{id}", Role::Editor, replace)
            .about("workflows.replace", "Saves a new version of a workflow, or a new workflow")
            .header("If-Match", "The `ETag` of the version that is replaced")
            .header("If-None-Match", "`*`: there is no such workflow yet")
            .body::<documents::WorkflowFile>()
            .answers::<documents::SavedWorkflow>(200)
            .answers::<documents::SavedWorkflow>(201)
            .problems(&[409, 412, 428]),
        route(Method::DELETE, "/api/v1/workflows/{id}", Role::Editor, delete)
            .about("workflows.delete", "Deletes a workflow; its versions and executions stay")
            .header("If-Match", "The `ETag` of the version that is deleted")
            .answers_nothing(204)
            .problems(&[400, 412]),
        route(Method::GET, "/api/v1/workflows/{id}/versions", Role::Viewer, versions)
            .about("workflows.versions", "The versions of a workflow, the newest first")
            .query::<Part>()
            .answers::<Page<documents::WorkflowVersion>>(200),
        route(Method::POST, "/api/v1/workflows/{id}/execute", Role::Operator, execute)
            .about("workflows.execute", "Starts an execution of a workflow")
            .query::<StartQuery>()
            .header("Idempotency-Key", "Makes the start repeatable for 7 days")
            .header("Prefer", "`wait=30` waits for the end, as `?wait=30s` does")
            .body::<ExecuteBody>()
            .answers::<documents::Execution>(200)
            .answers::<documents::Accepted>(202)
            .problems(&[409]),
    ]
}

pub(super) fn not_found(id: &str) -> Problem {
    Problem::not_found("workflow.not_found", format!("there is no workflow `{id}`"))
}

/// A version as a header.
fn etag(version: u64) -> HeaderValue {
    HeaderValue::try_from(format!("\"{version}\"")).expect("it is ASCII")
}

/// The versions that a header names; `None` for `*`.
fn read_etag(text: &str) -> Result<Option<u64>, Problem> {
    let text = text.trim();
    if text == "*" {
        return Ok(None);
    }
    let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    inner.and_then(|inner| inner.parse().ok()).map(Some).ok_or_else(|| {
        let detail = "a version is named as its `ETag` does, such as `\"3\"`";
        Problem::bad_request("request.bad_etag", detail)
    })
}

fn header_text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Params(asked): Params<Part>,
) -> Result<Response, Problem> {
    let limit = limit(asked.limit)?;
    let cursor = asked.cursor.map(WorkflowId::new).transpose().map_err(|_| bad_cursor())?;
    let after = cursor.as_ref().map(WorkflowId::as_str);
    let mut records = app.workflows.list(caller.project(), after, limit + 1).await?;
    let next_cursor = cut(&mut records, limit, |record| record.key.id.clone());
    let items = records.iter().map(summary).collect();
    Ok(Json(Page { items, next_cursor }).into_response())
}

fn summary(record: &Record) -> documents::WorkflowSummary {
    #[derive(Deserialize, Default)]
    struct Names {
        name: Option<String>,
        description: Option<String>,
    }
    let body = record.body.as_deref().unwrap_or_default();
    let names: Names = serde_json::from_slice(body).unwrap_or_default();
    documents::WorkflowSummary {
        id: record.key.id.clone(),
        version: record.version,
        name: names.name,
        description: names.description,
        saved_at: record.at.to_string(),
    }
}

/// Checks a workflow with those that it calls.
pub(super) async fn check(
    app: &App,
    caller: &Caller,
    name: &str,
    text: &str,
) -> Result<Checked, Problem> {
    let source = Source::json(name, text);
    let (registry, limits) = (app.runtime.registry(), app.runtime.limits());
    let secrets = app.secrets_of(caller.project());
    let checked = app.workflows.with_calls(caller.project(), |calls| {
        check_with_secrets(&source, &registry, limits, Some(calls), &secrets)
    });
    Ok(checked.await?)
}

async fn validate(
    State(app): State<Arc<App>>,
    caller: Caller,
    WorkflowText(text): WorkflowText,
) -> Result<Response, Problem> {
    let checked = check(&app, &caller, "workflow", &text).await?;
    let document = json!({"valid": checked.is_ok(), "diagnostics": checked.diagnostics});
    Ok(Json(document).into_response())
}

/// A workflow that may be saved.
async fn checked(app: &App, caller: &Caller, name: &str, text: &str) -> Result<Workflow, Problem> {
    let checked = check(app, caller, name, text).await?;
    match checked.workflow.filter(|_| checked.plan.is_some()) {
        Some(workflow) if is_lost(app, &workflow) => Err(in_memory::not_allowed()),
        Some(workflow) => Ok(workflow),
        None => Err(StartError::Workflow(checked.diagnostics).into()),
    }
}

/// Whether what it runs would be kept nowhere, and may not.
fn is_lost(app: &App, workflow: &Workflow) -> bool {
    workflow.settings.durability == Some(Durability::None) && !app.allows_in_memory
}

async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    WorkflowText(text): WorkflowText,
) -> Result<Response, Problem> {
    let workflow = checked(&app, &caller, "", &text).await?;
    let id = workflow.id.clone().ok_or_else(|| {
        Problem::unprocessable("workflow.missing_id", "a workflow that is saved needs an `id`")
            .hint("add `\"id\": \"…\"` to it, or use `PUT /api/v1/workflows/{id}`")
    })?;
    match save(&app, &caller, &id, Expect::Absent, (&text, &workflow), "workflow.create").await? {
        Ok(response) => Ok(response),
        Err(_) => {
            let detail = format!("there is a workflow `{id}` already");
            Err(Problem::new(StatusCode::CONFLICT, "workflow.exists", detail)
                .hint("use `PUT` with `If-Match` to save a new version of it"))
        }
    }
}

async fn replace(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(id): Named<String>,
    headers: HeaderMap,
    WorkflowText(text): WorkflowText,
) -> Result<Response, Problem> {
    let id = WorkflowId::new(&id)
        .map_err(|error| Problem::unprocessable(error.code(), error.to_string()))?;
    let expect = match (
        header_text(&headers, header::IF_MATCH),
        header_text(&headers, header::IF_NONE_MATCH),
    ) {
        (Some(text), None) => read_etag(text)?.map_or(Expect::Present, Expect::Version),
        (None, Some("*")) => Expect::Absent,
        _ => {
            let detail = "say which version is replaced, or that there is none";
            return Err(Problem::new(
                StatusCode::PRECONDITION_REQUIRED,
                "workflow.version_needed",
                detail,
            )
            .hint("send `If-Match` with the `ETag` of the version, or `If-None-Match: *`"));
        }
    };
    let workflow = checked(&app, &caller, id.as_str(), &text).await?;
    if let Some(written) = workflow.id.as_ref().filter(|written| **written != id) {
        let detail = format!("the workflow says that its id is `{written}`, the path says `{id}`");
        return Err(Problem::unprocessable("workflow.other_id", detail));
    }
    match save(&app, &caller, &id, expect, (&text, &workflow), "workflow.replace").await? {
        Ok(response) => Ok(response),
        Err(found) => Err(other_version(found)),
    }
}

fn other_version(found: Option<u64>) -> Problem {
    let detail = match found {
        Some(version) => format!("the current version is {version}"),
        None => "there is no such workflow".to_owned(),
    };
    Problem::new(StatusCode::PRECONDITION_FAILED, "workflow.version_conflict", detail)
        .hint("get the current version, and apply your change to it")
}

/// Saves a version; gives the answer, or the version that is in the way.
async fn save(
    app: &App,
    caller: &Caller,
    id: &WorkflowId,
    expect: Expect,
    saved: (&str, &Workflow),
    action: &str,
) -> Result<Result<Response, Option<u64>>, Problem> {
    let entry = audit::entry(caller, action, id.as_str());
    let name = (caller.project(), id);
    let committed = triggers::save(app, name, expect, Some(saved), entry).await?;
    let version = match committed {
        Committed::Done(versions) => versions.first().copied().unwrap_or_default(),
        Committed::Conflict { found, .. } => return Ok(Err(found)),
    };
    app.runtime.workflows_changed();
    let saved = app.workflows.get(caller.project(), id.as_str(), Some(version)).await?;
    let saved = saved.ok_or_else(|| not_found(id.as_str()))?;
    let status = if version == 1 { StatusCode::CREATED } else { StatusCode::OK };
    let location = format!("/api/v1/workflows/{id}");
    let location = HeaderValue::try_from(location).expect("an id is ASCII");
    let headers = [(header::ETAG, etag(version)), (header::LOCATION, location)];
    Ok(Ok((status, headers, document(&saved)).into_response()))
}

/// A version, with the text as it was sent.
fn document(saved: &Saved) -> Response {
    #[derive(Serialize)]
    struct Document<'a> {
        id: &'a WorkflowId,
        version: u64,
        saved_at: String,
        workflow: Option<&'a RawValue>,
    }
    let document = Document {
        id: &saved.id,
        version: saved.version,
        saved_at: saved.at.to_string(),
        // It was checked when it was saved.
        workflow: serde_json::from_slice(&saved.text).ok(),
    };
    Json(document).into_response()
}

/// Which version is asked for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GetQuery {
    /// The version; the current one unless said otherwise.
    version: Option<u64>,
}

async fn get(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(id): Named<String>,
    Params(query): Params<GetQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let saved = app.workflows.get(caller.project(), &id, query.version).await?;
    let saved = saved.ok_or_else(|| not_found(&id))?;
    let tag = [(header::ETAG, etag(saved.version))];
    let known = header_text(&headers, header::IF_NONE_MATCH);
    if known.is_some_and(|text| text.trim().as_bytes() == etag(saved.version).as_bytes()) {
        return Ok((StatusCode::NOT_MODIFIED, tag).into_response());
    }
    Ok((tag, document(&saved)).into_response())
}

async fn delete(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(id): Named<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let expect = match header_text(&headers, header::IF_MATCH) {
        Some(text) => read_etag(text)?.map_or(Expect::Present, Expect::Version),
        None => Expect::Present,
    };
    let id = WorkflowId::new(&id).map_err(|_| not_found(&id))?;
    let entry = audit::entry(&caller, "workflow.delete", id.as_str());
    match triggers::save(&app, (caller.project(), &id), expect, None, entry).await? {
        Committed::Done(_) => {
            app.runtime.workflows_changed();
            Ok(StatusCode::NO_CONTENT.into_response())
        }
        Committed::Conflict { found: None, .. } => Err(not_found(id.as_str())),
        Committed::Conflict { found, .. } => Err(other_version(found)),
    }
}

async fn versions(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(id): Named<String>,
    Params(asked): Params<Part>,
) -> Result<Response, Problem> {
    let limit = limit(asked.limit)?;
    let before = asked.cursor.map(|text| text.parse()).transpose().map_err(|_| bad_cursor())?;
    let mut records = app.workflows.versions(caller.project(), &id, before, limit + 1).await?;
    if records.is_empty() && before.is_none() {
        return Err(not_found(&id));
    }
    let next_cursor = cut(&mut records, limit, |one| one.version.to_string());
    let items = records.iter().map(|record| documents::WorkflowVersion {
        version: record.version,
        saved_at: record.at.to_string(),
        is_deleted: record.body.is_none(),
    });
    Ok(Json(Page { items: items.collect(), next_cursor }).into_response())
}

/// What an execution is given.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ExecuteBody {
    #[serde(default)]
    inputs: Inputs,
    /// The version of the workflow; the current one unless said otherwise.
    version: Option<u64>,
}

async fn execute(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(id): Named<String>,
    Params(query): Params<StartQuery>,
    headers: HeaderMap,
    Body(body): Body<ExecuteBody>,
) -> Result<Response, Problem> {
    let how = How::new(&query, &headers)?;
    let saved = app.workflows.get(caller.project(), &id, body.version).await?;
    let saved = saved.ok_or_else(|| not_found(&id))?;
    let inputs = body.inputs.0;
    let prepared = app.workflows.with_calls(caller.project(), |calls| {
        app.runtime.prepare_with(&saved.workflow, inputs.clone(), calls)
    });
    let prepared = prepared.await??.version(saved.version);
    start(&app, &caller, prepared, how).await
}

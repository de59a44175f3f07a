//! Executions: started, and looked at.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, Method};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flowcore::{ExecutionId, Source, Timestamp, WorkflowId, read_workflow};
use flowruntime::StartError;
use flowruntime::history::{Detail, ExecutionSummary};
use flowruntime::store::{Cursor, ExecutionRow, Query};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::pages::{Named, Params, bad_cursor, cut, limit};
use super::start::{How, Inputs, StartQuery, not_found, parse_statuses, report, start};
use super::workflows::check;
use crate::app::App;
use crate::auth::{Caller, Role};
use crate::body::{Body, WorkflowBody};
use crate::documents;
use crate::problem::Problem;
use crate::route::{Route, route};

pub(super) fn routes() -> Vec<Route> {
    vec![
        route(Method::POST, "/api/v1/executions", Role::Editor, run)
            .about("executions.create", "Runs a workflow that is not saved")
            .query::<StartQuery>()
            .header("Idempotency-Key", "Makes the start repeatable for 7 days")
            .header("Prefer", "`wait=30` waits for the end, as `?wait=30s` does")
            .body::<RunBody>()
            .answers::<documents::Execution>(200)
            .answers::<documents::Accepted>(202)
            .problems(&[409]),
        route(Method::GET, "/api/v1/executions", Role::Viewer, list)
            .about("executions.list", "The executions, the newest first")
            .query::<ListQuery>()
            .answers::<documents::Page<documents::ExecutionSummary>>(200),
        route(Method::GET, "/api/v1/executions/{id}", Role::Viewer, get)
            .about("executions.get", "All that is known of an execution")
            .query::<GetQuery>()
            .answers::<documents::Execution>(200),
        route(Method::POST, "/api/v1/executions/{id}/rerun", Role::Operator, rerun)
            .about(
                "executions.rerun",
                "Runs an ended execution again, from the start or from a node",
            )
            .query::<StartQuery>()
            .header("Idempotency-Key", "Makes the start repeatable for 7 days")
            .header("Prefer", "`wait=30` waits for the end, as `?wait=30s` does")
            .body::<RerunBody>()
            .answers::<documents::Execution>(200)
            .answers::<documents::Accepted>(202)
            .problems(&[409]),
        route(Method::GET, "/api/v1/executions/{id}/logs", Role::Viewer, logs)
            .about("executions.logs", "What its nodes wrote")
            .query::<PartQuery>()
            .answers::<documents::Page<documents::LogLine>>(200),
        route(Method::GET, "/api/v1/executions/{id}/journal", Role::Viewer, journal)
            .about("executions.journal", "Its events, in order")
            .query::<PartQuery>()
            .answers::<documents::Page<serde_json::Value>>(200),
        route(Method::GET, "/api/v1/executions/{id}/export", Role::Viewer, export)
            .about("executions.export", "All that is kept of it, as `flowcli replay` reads it")
            .answers::<serde_json::Value>(200),
    ]
}

/// The row of an execution of the caller's project; one of another project is not there.
pub(super) async fn own(app: &App, caller: &Caller, id: &str) -> Result<ExecutionRow, Problem> {
    let parsed: ExecutionId = id.parse().map_err(|_| not_found(id))?;
    let row = app.home.execution(parsed).await?;
    row.filter(|row| row.project == *caller.project()).ok_or_else(|| not_found(id))
}

/// A workflow that is not saved, and what it is given.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RunBody {
    /// The workflow.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    workflow: Box<RawValue>,
    #[serde(default)]
    inputs: Inputs,
    /// What it is called when it has no id: the name of its file.
    name: Option<String>,
}

async fn run(
    State(app): State<Arc<App>>,
    caller: Caller,
    Params(query): Params<StartQuery>,
    headers: HeaderMap,
    WorkflowBody(body): WorkflowBody<RunBody>,
) -> Result<Response, Problem> {
    let how = How::new(&query, &headers)?;
    let text = body.workflow.get();
    let name = body.name.as_deref().unwrap_or("workflow");
    let (workflow, found) = read_workflow(&Source::json(name, text));
    if let Some(workflow) = workflow.filter(|_| !found.has_errors()) {
        let inputs = body.inputs.0;
        let prepared = app.workflows.with_calls(caller.project(), |calls| {
            app.runtime.prepare_with(&workflow, inputs.clone(), calls)
        });
        match prepared.await? {
            Err(StartError::Workflow(_)) => {}
            prepared => return start(&app, &caller, prepared?, how).await,
        }
    }
    // What is wrong, each with its place in the text.
    let checked = check(&app, &caller, name, text).await?;
    Err(StartError::Workflow(checked.diagnostics).into())
}

/// Which executions are listed.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    /// Only those of this workflow.
    workflow: Option<String>,
    /// Only those with one of these statuses, such as `running,failed`.
    status: Option<String>,
    /// Only those that were accepted at this time or later, such as `2026-11-20T10:00:00Z`.
    created_from: Option<String>,
    /// Only those that were accepted before this time.
    created_before: Option<String>,
    /// How many, at most 500.
    limit: Option<usize>,
    /// Where the list goes on: the `next_cursor` of the part before.
    cursor: Option<String>,
}

async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Params(asked): Params<ListQuery>,
) -> Result<Response, Problem> {
    let limit = limit(asked.limit)?;
    let bad_id = |error: flowcore::IdError| {
        Problem::bad_request("request.bad_query", format!("`workflow`: {error}"))
    };
    let query = Query {
        project: caller.project().clone(),
        workflow_id: asked.workflow.map(WorkflowId::new).transpose().map_err(bad_id)?,
        statuses: asked.status.as_deref().map(parse_statuses).transpose()?.unwrap_or_default(),
        created_from: moment("created_from", asked.created_from.as_deref())?,
        created_before: moment("created_before", asked.created_before.as_deref())?,
        ended_from: None,
        after: asked.cursor.as_deref().map(read_cursor).transpose()?,
        // One more says whether there are more.
        limit: limit + 1,
    };
    let mut rows = app.home.executions(&query).await?;
    let next_cursor = cut(&mut rows, limit, write_cursor);
    let items: Vec<_> = rows.iter().map(ExecutionSummary::from).collect();
    Ok(Json(json!({"items": items, "next_cursor": next_cursor})).into_response())
}

fn moment(name: &str, text: Option<&str>) -> Result<Option<Timestamp>, Problem> {
    let bad = |_| {
        let detail = format!("`{name}` is a time in UTC, such as `2026-11-20T10:00:00Z`");
        Problem::bad_request("request.bad_query", detail)
    };
    text.map(|text| text.parse()).transpose().map_err(bad)
}

fn write_cursor(row: &ExecutionRow) -> String {
    URL_SAFE_NO_PAD.encode(format!("{}.{}", row.created_at.as_micros(), row.id))
}

fn read_cursor(text: &str) -> Result<Cursor, Problem> {
    let decoded = URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let read = |text: String| {
        let (at, id) = text.split_once('.')?;
        let created_at = Timestamp::from_micros(at.parse().ok()?);
        Some(Cursor { created_at, id: id.parse().ok()? })
    };
    decoded.and_then(read).ok_or_else(bad_cursor)
}

/// How much is told.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GetQuery {
    /// With what each node was given and gave.
    #[serde(default)]
    full: bool,
}

async fn get(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(id): Named<String>,
    Params(query): Params<GetQuery>,
) -> Result<Response, Problem> {
    let row = own(&app, &caller, &id).await?;
    let detail = if query.full { Detail::Full } else { Detail::Of(&[]) };
    Ok(Json(report(&app, row.id, detail).await?).into_response())
}

/// From where an execution runs again.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RerunBody {
    /// A node of the workflow: what succeeded and does not follow from it keeps its results.
    from: Option<String>,
}

async fn rerun(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(id): Named<String>,
    Params(query): Params<StartQuery>,
    headers: HeaderMap,
    Body(body): Body<RerunBody>,
) -> Result<Response, Problem> {
    let how = How::new(&query, &headers)?;
    let row = own(&app, &caller, &id).await?;
    let prepared = app.runtime.prepare_rerun(row.id, body.from.as_deref()).await?;
    start(&app, &caller, prepared, how).await
}

/// Which part of a sequence is asked for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PartQuery {
    /// Only what comes after this number.
    #[serde(default)]
    after: u64,
    /// How many, at most 500.
    limit: Option<usize>,
    /// Where the list goes on: the `next_cursor` of the part before. It counts, not `after`.
    cursor: Option<String>,
}

impl PartQuery {
    /// After which number, and how many.
    fn range(&self) -> Result<(u64, usize), Problem> {
        let after = match &self.cursor {
            Some(text) => text.parse().map_err(|_| bad_cursor())?,
            None => self.after,
        };
        Ok((after, limit(self.limit)?))
    }
}

async fn logs(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(id): Named<String>,
    Params(query): Params<PartQuery>,
) -> Result<Response, Problem> {
    let (after, limit) = query.range()?;
    let id = own(&app, &caller, &id).await?.id;
    let mut lines = app.home.logs(id, after, limit + 1).await?;
    let next_cursor = cut(&mut lines, limit, |line| line.number.to_string());
    let items = lines.into_iter().map(|line| documents::LogLine {
        number: line.number,
        at: line.at.to_string(),
        node: line.node.to_string(),
        attempt: line.attempt,
        kind: line.kind.to_string(),
        text: line.text,
    });
    Ok(Json(documents::Page { items: items.collect(), next_cursor }).into_response())
}

async fn journal(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(id): Named<String>,
    Params(query): Params<PartQuery>,
) -> Result<Response, Problem> {
    let (after, limit) = query.range()?;
    let id = own(&app, &caller, &id).await?.id;
    let found = app.runtime.replay(id).await?;
    let (_, mut replay) = found.ok_or_else(|| not_found(&id.to_string()))?;
    let (mut items, mut next_cursor) = (Vec::new(), None);
    while let Some(event) = replay.step()? {
        let Some(seq) = event.seq().filter(|seq| *seq > after) else { continue };
        if items.len() == limit {
            next_cursor = Some((seq - 1).to_string());
            break;
        }
        items.push(event);
    }
    Ok(Json(json!({"items": items, "next_cursor": next_cursor})).into_response())
}

async fn export(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(id): Named<String>,
) -> Result<Response, Problem> {
    let row = own(&app, &caller, &id).await?;
    let export = app.runtime.export(row.id).await?;
    Ok(Json(export.ok_or_else(|| not_found(&id))?).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_are_read_again() {
        let id = ExecutionId::from_uuid(uuid::Uuid::now_v7());
        let text = URL_SAFE_NO_PAD.encode(format!("1764000000000000.{id}"));
        let cursor = read_cursor(&text).unwrap();
        assert_eq!(cursor.id, id);
        assert_eq!(cursor.created_at.as_micros(), 1_764_000_000_000_000);
        for bad in ["", "x", "MTIz", "%%%"] {
            assert!(read_cursor(bad).is_err(), "{bad}");
        }
    }
}

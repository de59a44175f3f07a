//! Starting executions, and waiting for them.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use flowcore::{ExecutionId, ExecutionStatus, Object, duration};
use flowruntime::history::{Detail, ExecutionReport};
use flowruntime::{ExecutionHandle, PreparedExecution};
use schemars::JsonSchema;
use serde::Deserialize;

use super::in_memory;
use crate::app::App;
use crate::audit;
use crate::auth::Caller;
use crate::documents::{Accepted, Links};
use crate::problem::Problem;
use crate::traces;

/// The longest that an answer waits for an execution.
const MOST_WAIT: Duration = Duration::from_secs(600);

/// The longest key.
const MOST_KEY: usize = 256;

/// What a start is asked for after `?`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StartQuery {
    /// Waits this long for the end, such as `30s`, and answers with the whole execution.
    wait: Option<String>,
}

/// How a start is answered, and made repeatable.
pub(super) struct How {
    pub(super) wait: Option<Duration>,
    pub(super) key: Option<String>,
}

impl How {
    pub(super) fn new(query: &StartQuery, headers: &HeaderMap) -> Result<Self, Problem> {
        let wait = match &query.wait {
            Some(text) => Some(parse_wait(text)?),
            None => preferred_wait(headers),
        };
        let key = headers.get("idempotency-key").map(read_key).transpose()?;
        Ok(Self { wait: wait.map(|wait| wait.min(MOST_WAIT)), key })
    }
}

/// `30s`, `500ms`, `1h30m`, or a number of seconds; `0` does not wait.
fn parse_wait(text: &str) -> Result<Duration, Problem> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    duration::parse(text).map_err(|expected| {
        Problem::bad_request("request.bad_query", format!("`wait`: {expected}"))
    })
}

/// `Prefer: wait=30`. A preference that cannot be understood is none.
fn preferred_wait(headers: &HeaderMap) -> Option<Duration> {
    let all = headers.get_all("prefer").into_iter().filter_map(|value| value.to_str().ok());
    let mut preferences = all.flat_map(|value| value.split([',', ';'])).map(str::trim);
    let seconds = preferences.find_map(|one| one.strip_prefix("wait="))?;
    seconds.trim_matches('"').parse().ok().map(Duration::from_secs)
}

pub(super) fn read_key(key: &HeaderValue) -> Result<String, Problem> {
    let text = key.to_str().ok().filter(|text| (1..=MOST_KEY).contains(&text.len()));
    text.map(str::to_owned).ok_or_else(|| {
        let detail = format!("`Idempotency-Key` has 1 to {MOST_KEY} visible ASCII characters");
        Problem::bad_request("request.bad_key", detail)
    })
}

/// Starts an execution. What was accepted goes on, whoever still waits for the answer.
pub(super) async fn start(
    app: &Arc<App>,
    caller: &Caller,
    prepared: PreparedExecution,
    how: How,
) -> Result<Response, Problem> {
    let prepared = traces::within(prepared.project(caller.project().clone()));
    if !prepared.is_kept() {
        return in_memory::run(app, prepared, how).await;
    }
    let entry = audit::entry(caller, "execution.start", &prepared.id().to_string());
    let mut prepared = prepared.audit(entry);
    if let Some(key) = how.key {
        prepared = prepared.key(key);
    }
    if how.wait.is_some() {
        prepared = prepared.watched();
    }
    let handle = prepared.start().await?;
    traces::accepted(handle.id());
    if let Some(wait) = how.wait
        && let Some(report) = end(app, &handle, wait).await?
    {
        return Ok(with_location(StatusCode::OK, handle.id(), Json(report)));
    }
    accepted(app, handle.id()).await
}

/// What came of an execution, if it ends in time. Nobody waits while the server is about to stop.
async fn end(
    app: &App,
    handle: &ExecutionHandle,
    wait: Duration,
) -> Result<Option<ExecutionReport>, Problem> {
    let reported = tokio::select! {
        reported = handle.report() => reported,
        () = tokio::time::sleep(wait) => return Ok(None),
        () = app.draining.begins() => return Ok(None),
    };
    match reported {
        Ok(Some(report)) => Ok(Some(report)),
        Ok(None) => {
            let report = report(app, handle.id(), Detail::Of(&[])).await?;
            Ok(Some(report).filter(|report| report.row.status.is_terminal()))
        }
        Err(error) => {
            tracing::warn!(execution_id = %handle.id(), %error, "nobody knows how it ended");
            Ok(None)
        }
    }
}

pub(super) async fn accepted(app: &App, id: ExecutionId) -> Result<Response, Problem> {
    let row = app.home.execution(id).await?;
    let row = row.ok_or_else(|| not_found(&id.to_string()))?;
    let document = Accepted {
        id: id.to_string(),
        status: row.status.to_string(),
        workflow_id: row.workflow_id.to_string(),
        version: row.version,
        links: Links { itself: path(id), events: format!("{}/events", path(id)) },
    };
    Ok(with_location(StatusCode::ACCEPTED, id, Json(document)))
}

pub(super) fn path(id: ExecutionId) -> String {
    format!("/api/v1/executions/{id}")
}

fn with_location(status: StatusCode, id: ExecutionId, body: impl IntoResponse) -> Response {
    (status, [(header::LOCATION, path(id))], body).into_response()
}

/// All that is known of an execution.
pub(super) async fn report(
    app: &App,
    id: ExecutionId,
    detail: Detail<'_>,
) -> Result<ExecutionReport, Problem> {
    let found = app.runtime.replay(id).await?;
    let (row, replay) = found.ok_or_else(|| not_found(&id.to_string()))?;
    Ok(ExecutionReport::of(row, replay, detail)?)
}

pub(super) fn not_found(id: &str) -> Problem {
    Problem::not_found("execution.not_found", format!("there is no execution `{id}`"))
}

/// The inputs of an execution.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
pub(super) struct Inputs(pub(super) Object);

impl JsonSchema for Inputs {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Inputs".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "object", "description": "The inputs, by name."})
    }
}

/// The statuses of executions that a list is asked for: `running,failed`.
pub(super) fn parse_statuses(text: &str) -> Result<Vec<ExecutionStatus>, Problem> {
    let all = [
        ExecutionStatus::Queued,
        ExecutionStatus::Running,
        ExecutionStatus::Waiting,
        ExecutionStatus::Paused,
        ExecutionStatus::Succeeded,
        ExecutionStatus::Failed,
        ExecutionStatus::Cancelled,
        ExecutionStatus::TimedOut,
    ];
    let one = |name: &str| {
        let known = all.iter().find(|status| status.to_string().eq_ignore_ascii_case(name));
        known.copied().ok_or_else(|| {
            let names: Vec<String> = all.iter().map(ToString::to_string).collect();
            let detail = format!("`{name}` is no status; there are {}", names.join(", "));
            Problem::bad_request("request.bad_query", detail)
        })
    };
    text.split(',').map(str::trim).map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_read() {
        for (text, wait) in [
            ("30s", Duration::from_secs(30)),
            ("30", Duration::from_secs(30)),
            ("500ms", Duration::from_millis(500)),
            ("2m", Duration::from_secs(120)),
            ("1h", Duration::from_secs(3600)),
            ("0", Duration::ZERO),
        ] {
            assert_eq!(parse_wait(text).unwrap(), wait, "{text}");
        }
        for text in ["", "s", "-1s", "1x", "99999999999999999999s"] {
            assert!(parse_wait(text).is_err(), "{text}");
        }
        let mut headers = HeaderMap::new();
        headers.append("prefer", HeaderValue::from_static("respond-async, wait=\"7\""));
        assert_eq!(preferred_wait(&headers), Some(Duration::from_secs(7)));
        assert_eq!(preferred_wait(&HeaderMap::new()), None);
    }

    #[test]
    fn statuses_are_read_in_any_case() {
        let parsed = parse_statuses("running, TimedOut").unwrap();
        assert_eq!(parsed, [ExecutionStatus::Running, ExecutionStatus::TimedOut]);
        assert!(parse_statuses("").is_err() && parse_statuses("running,done").is_err());
    }
}

//! Schedules: the cron triggers of the workflows that are saved.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::Method;
use flowcore::{Missed, WorkflowId};

use super::pages::{Named, Params, PartOfTriggers};
use crate::app::{App, now};
use crate::audit;
use crate::auth::{Caller, Role};
use crate::documents::{self, Page};
use crate::problem::Problem;
use crate::route::{Route, route};
use crate::schedules::{self, Run, Schedule, State as Progress};
use crate::triggers::TriggerKey;

pub(super) fn routes() -> Vec<Route> {
    vec![
        route(Method::GET, "/api/v1/schedules", Role::Viewer, list)
            .about("schedules.list", "The schedules, by workflow and trigger")
            .query::<PartOfTriggers>()
            .answers::<Page<documents::Schedule>>(200),
        route(Method::GET, "/api/v1/schedules/{workflow}/{trigger}", Role::Viewer, get)
            .about("schedules.get", "A schedule")
            .answers::<documents::Schedule>(200),
        route(Method::GET, "/api/v1/schedules/{workflow}/{trigger}/runs", Role::Viewer, runs)
            .about("schedules.runs", "What became of its last 100 due times, the newest first")
            .answers::<Page<documents::ScheduleRun>>(200),
        route(
            Method::POST,
            "/api/v1/schedules/{workflow}/{trigger}/enable",
            Role::Operator,
            enable,
        )
        .about("schedules.enable", "Enables it, whatever the file says; it counts from now on")
        .answers::<documents::Schedule>(200),
        route(
            Method::POST,
            "/api/v1/schedules/{workflow}/{trigger}/disable",
            Role::Operator,
            disable,
        )
        .about("schedules.disable", "Disables it, whatever the file says")
        .answers::<documents::Schedule>(200),
    ]
}

async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Params(asked): Params<PartOfTriggers>,
) -> Result<Json<Page<documents::Schedule>>, Problem> {
    // What was saved a moment ago, here or on another server, may not have been noticed yet.
    app.look().await?;
    let mut found = app.schedules.of(caller.project());
    let next_cursor = asked.cut(&mut found, |(schedule, _)| {
        (schedule.key.workflow.as_str(), &*schedule.key.trigger)
    })?;
    let items = found.iter().map(|(schedule, state)| document(schedule, state.as_deref()));
    Ok(Json(Page { items: items.collect(), next_cursor }))
}

fn not_found(workflow: &str, trigger: &str) -> Problem {
    let detail = format!("no workflow `{workflow}` with a cron trigger `{trigger}` is saved");
    Problem::not_found("schedule.not_found", detail)
}

type Name = Named<(String, String)>;

fn named(caller: &Caller, (workflow, trigger): &(String, String)) -> Result<TriggerKey, Problem> {
    let id = WorkflowId::new(workflow).map_err(|_| not_found(workflow, trigger))?;
    Ok(TriggerKey { project: caller.project().clone(), workflow: id, trigger: trigger.clone() })
}

async fn find(app: &App, key: &TriggerKey) -> Result<documents::Schedule, Problem> {
    app.look().await?;
    let found = app.schedules.get(key);
    let (schedule, state) = found.ok_or_else(|| not_found(key.workflow.as_str(), &key.trigger))?;
    Ok(document(&schedule, state.as_deref()))
}

async fn get(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(name): Name,
) -> Result<Json<documents::Schedule>, Problem> {
    find(&app, &named(&caller, &name)?).await.map(Json)
}

async fn runs(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(name): Name,
) -> Result<Json<Page<documents::ScheduleRun>>, Problem> {
    let key = named(&caller, &name)?;
    app.look().await?;
    let found = app.schedules.get(&key);
    let (_, state) = found.ok_or_else(|| not_found(&name.0, &name.1))?;
    let runs = state.iter().flat_map(|state| &state.runs);
    Ok(Json(Page { items: runs.map(run_document).collect(), next_cursor: None }))
}

async fn enable(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(name): Name,
) -> Result<Json<documents::Schedule>, Problem> {
    ask(&app, &caller, &name, true).await
}

async fn disable(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(name): Name,
) -> Result<Json<documents::Schedule>, Problem> {
    ask(&app, &caller, &name, false).await
}

async fn ask(
    app: &App,
    caller: &Caller,
    name: &(String, String),
    is_enabled: bool,
) -> Result<Json<documents::Schedule>, Problem> {
    let key = named(caller, name)?;
    let action = if is_enabled { "schedule.enable" } else { "schedule.disable" };
    let entry = audit::entry(caller, action, &key.subject());
    schedules::ask(app, &key, is_enabled, now(), &entry).await?;
    find(app, &key).await.map(Json)
}

fn document(schedule: &Schedule, state: Option<&Progress>) -> documents::Schedule {
    let is_enabled = state.map_or(schedule.is_enabled, |state| state.is_enabled);
    let after = state.map_or(schedule.saved_at, |state| state.after).max(now());
    let next = is_enabled.then(|| schedule.due.after(after)).flatten();
    let last = state.and_then(|state| state.runs.front());
    documents::Schedule {
        workflow_id: schedule.key.workflow.to_string(),
        version: schedule.version,
        trigger: schedule.key.trigger.clone(),
        expression: schedule.cron.expression.clone(),
        timezone: schedule.cron.timezone.clone().unwrap_or_else(|| "UTC".to_owned()),
        missed: match schedule.cron.missed {
            Missed::Skip => "skip",
            Missed::Latest => "latest",
            Missed::All => "all",
        }
        .to_owned(),
        is_enabled,
        next_at: next.map(|moment| moment.to_string()),
        last: last.map(run_document),
    }
}

fn run_document(run: &Run) -> documents::ScheduleRun {
    documents::ScheduleRun {
        due_at: run.due_at.to_string(),
        until: run.until.map(|moment| moment.to_string()),
        count: run.count,
        outcome: run.outcome.as_str().to_owned(),
        reason: run.reason.clone(),
        execution_id: run.execution.clone(),
        version: run.version,
    }
}

//! Triggers of all kinds: listed, enabled and disabled.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::Method;
use flowcore::{ProjectId, WorkflowId};

use super::pages::{Named, Params, PartOfTriggers};
use crate::app::{App, now};
use crate::audit;
use crate::auth::{Caller, Role};
use crate::documents::{self, Page};
use crate::problem::Problem;
use crate::route::{Route, route};
use crate::schedules;
use crate::triggers::{self, Asked, Kind, TriggerKey};

pub(super) fn routes() -> Vec<Route> {
    vec![
        route(Method::GET, "/api/v1/triggers", Role::Viewer, list)
            .about("triggers.list", "What starts executions, by workflow and trigger")
            .query::<PartOfTriggers>()
            .answers::<Page<documents::Trigger>>(200),
        route(Method::POST, "/api/v1/triggers/{workflow}/{trigger}/enable", Role::Operator, enable)
            .about("triggers.enable", "Enables it, whatever the file says")
            .answers::<documents::Trigger>(200),
        route(
            Method::POST,
            "/api/v1/triggers/{workflow}/{trigger}/disable",
            Role::Operator,
            disable,
        )
        .about("triggers.disable", "Disables it, whatever the file says")
        .answers::<documents::Trigger>(200),
    ]
}

async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Params(asked): Params<PartOfTriggers>,
) -> Result<Json<Page<documents::Trigger>>, Problem> {
    // What was saved a moment ago, here or on another server, may not have been noticed yet.
    app.look().await?;
    let mut found = all(&app, caller.project());
    let next_cursor = asked.cut(&mut found, |trigger| (&trigger.workflow_id, &trigger.trigger))?;
    Ok(Json(Page { items: found, next_cursor }))
}

/// The triggers of a project, by workflow and trigger.
fn all(app: &App, project: &ProjectId) -> Vec<documents::Trigger> {
    let listeners = app.triggers.of(project).into_iter().map(|found| {
        let is_enabled = found.is_on();
        let (kind, on) = match &found.trigger.kind {
            Kind::Webhook(webhook) => ("webhook", &webhook.path),
            Kind::Event(event) => ("event", &event.topic),
        };
        documents::Trigger {
            workflow_id: found.trigger.key.workflow.to_string(),
            version: found.trigger.version,
            trigger: found.trigger.key.trigger.clone(),
            kind: kind.to_owned(),
            on: on.clone(),
            is_enabled,
        }
    });
    let schedules =
        app.schedules.of(project).into_iter().map(|(schedule, state)| documents::Trigger {
            workflow_id: schedule.key.workflow.to_string(),
            version: schedule.version,
            trigger: schedule.key.trigger.clone(),
            kind: "cron".to_owned(),
            on: schedule.cron.expression.clone(),
            is_enabled: state.map_or(schedule.is_enabled, |state| state.is_enabled),
        });
    let mut all: Vec<_> = listeners.chain(schedules).collect();
    all.sort_by(|a, b| (&a.workflow_id, &a.trigger).cmp(&(&b.workflow_id, &b.trigger)));
    all
}

type Name = Named<(String, String)>;

async fn enable(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(name): Name,
) -> Result<Json<documents::Trigger>, Problem> {
    ask(&app, &caller, name, true).await
}

async fn disable(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(name): Name,
) -> Result<Json<documents::Trigger>, Problem> {
    ask(&app, &caller, name, false).await
}

async fn ask(
    app: &App,
    caller: &Caller,
    (workflow, trigger): (String, String),
    is_enabled: bool,
) -> Result<Json<documents::Trigger>, Problem> {
    let not_found = || {
        let detail = format!("no workflow `{workflow}` with a trigger `{trigger}` is saved");
        Problem::not_found("trigger.not_found", detail)
            .hint("there is nothing to enable or disable about a `manual` trigger")
    };
    let id = WorkflowId::new(&workflow).map_err(|_| not_found())?;
    let project = caller.project().clone();
    let key = TriggerKey { project, workflow: id, trigger: trigger.clone() };
    let action = if is_enabled { "trigger.enable" } else { "trigger.disable" };
    let entry = audit::entry(caller, action, &key.subject());
    if triggers::ask(app, &key, Asked::Enabled(is_enabled), &entry).await?.is_none() {
        schedules::ask(app, &key, is_enabled, now(), &entry).await?;
    }
    let is_it = |one: &documents::Trigger| one.workflow_id == workflow && one.trigger == trigger;
    let found = all(app, caller.project()).into_iter().find(is_it);
    found.map(Json).ok_or_else(not_found)
}

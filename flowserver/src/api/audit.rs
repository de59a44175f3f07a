//! The audit log of the project.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::Method;
use schemars::JsonSchema;
use serde::Deserialize;

use super::pages::{Params, bad_cursor, cut, limit};
use crate::app::App;
use crate::auth::{Caller, Role};
use crate::documents::{AuditEntry, Page};
use crate::problem::Problem;
use crate::route::{Route, route};

pub(super) fn routes() -> Vec<Route> {
    vec![
        route(Method::GET, "/api/v1/audit", Role::Admin, list)
            .about("audit.list", "Who changed what, the newest first")
            .query::<ListQuery>()
            .answers::<Page<AuditEntry>>(200),
    ]
}

/// Which part of the log is asked for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    /// How many, at most 500.
    limit: Option<usize>,
    /// Where the list goes on: the `next_cursor` of the part before.
    cursor: Option<String>,
    /// Of all projects and of the installation; for tokens of the installation.
    #[serde(default)]
    all: bool,
}

async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Params(asked): Params<ListQuery>,
) -> Result<Json<Page<AuditEntry>>, Problem> {
    let limit = limit(asked.limit)?;
    let before = asked.cursor.map(|text| text.parse()).transpose().map_err(|_| bad_cursor())?;
    if asked.all {
        caller.only_of_installation(&app, "the whole audit log")?;
    }
    let project = Some(caller.project()).filter(|_| !asked.all);
    let mut rows = app.home.audit(project, before, limit + 1).await?;
    let next_cursor = cut(&mut rows, limit, |row| row.position.to_string());
    let items = rows.into_iter().map(|row| AuditEntry {
        at: row.entry.at.to_string(),
        project: row.entry.project.as_ref().map(ToString::to_string),
        chain: row.chain.to_string(),
        number: row.number,
        entry: serde_json::from_str(&row.entry.body).unwrap_or_default(),
    });
    Ok(Json(Page { items: items.collect(), next_cursor }))
}

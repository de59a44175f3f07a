//! The audit log of the project.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::Method;

use super::pages::{Params, Part, bad_cursor, cut, limit};
use crate::app::App;
use crate::auth::{Caller, Role};
use crate::documents::{AuditEntry, Page};
use crate::problem::Problem;
use crate::route::{Route, route};

pub(super) fn routes() -> Vec<Route> {
    vec![
        route(Method::GET, "/api/v1/audit", Role::Admin, list)
            .about("audit.list", "Who changed what, the newest first")
            .query::<Part>()
            .answers::<Page<AuditEntry>>(200)
            .problems(&[503]),
    ]
}

async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Params(asked): Params<Part>,
) -> Result<Json<Page<AuditEntry>>, Problem> {
    let limit = limit(asked.limit)?;
    let before = asked.cursor.map(|text| text.parse()).transpose().map_err(|_| bad_cursor())?;
    let mut rows = app.home.audit(Some(caller.project()), before, limit + 1).await?;
    let next_cursor = cut(&mut rows, limit, |row| row.position.to_string());
    let items = rows.into_iter().map(|row| AuditEntry {
        at: row.entry.at.to_string(),
        chain: row.chain.to_string(),
        number: row.number,
        entry: serde_json::from_str(&row.entry.body).unwrap_or_default(),
    });
    Ok(Json(Page { items: items.collect(), next_cursor }))
}

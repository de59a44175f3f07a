//! Projects: made and listed by those who have a token of the installation.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use flowcore::ProjectId;
use schemars::JsonSchema;
use serde::Deserialize;

use super::pages::{Params, Part, cut, limit};
use crate::app::App;
use crate::audit;
use crate::auth::Caller;
use crate::body::Body;
use crate::documents::{self, Page};
use crate::problem::Problem;
use crate::projects::{self, Project};
use crate::route::{Route, installation_route};

pub(super) fn routes() -> Vec<Route> {
    vec![
        installation_route(Method::GET, "/api/v1/projects", list)
            .about("projects.list", "The projects, by id")
            .query::<Part>()
            .answers::<Page<documents::Project>>(200),
        installation_route(Method::POST, "/api/v1/projects", create)
            .about("projects.create", "Makes a project, which is never deleted")
            .body::<NewProject>()
            .answers::<documents::Project>(201)
            .problems(&[409]),
    ]
}

/// A project that is asked for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewProject {
    /// Its id: letters, digits, `_` and `-`.
    id: String,
}

fn document(project: Project) -> documents::Project {
    documents::Project { id: project.id, created_at: project.created_at.to_string() }
}

async fn list(
    State(app): State<Arc<App>>,
    Params(asked): Params<Part>,
) -> Result<Json<Page<documents::Project>>, Problem> {
    let limit = limit(asked.limit)?;
    let mut found = projects::list(&*app.home, asked.cursor.as_deref(), limit + 1).await?;
    let next_cursor = cut(&mut found, limit, |project| project.id.clone());
    Ok(Json(Page { items: found.into_iter().map(document).collect(), next_cursor }))
}

async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    Body(asked): Body<NewProject>,
) -> Result<Response, Problem> {
    let id = ProjectId::new(&asked.id)
        .map_err(|error| Problem::unprocessable(error.code(), error.to_string()))?;
    let entry = audit::entry(&caller, "project.create", id.as_str());
    match projects::create(&*app.home, &id, entry).await? {
        Some(project) => Ok((StatusCode::CREATED, Json(document(project))).into_response()),
        None => {
            let detail = format!("there is a project `{id}` already");
            Err(Problem::new(StatusCode::CONFLICT, "project.exists", detail))
        }
    }
}

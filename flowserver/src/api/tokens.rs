//! Tokens: given, listed, and taken back.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use flowcore::ProjectId;
use flowruntime::store::AuditEntry;
use schemars::JsonSchema;
use serde::Deserialize;
use uuid::Uuid;

use super::pages::{Named, Params, bad_cursor, cut, limit};
use crate::app::{App, now};
use crate::audit;
use crate::auth::{Caller, Role, Token, TokenRecord};
use crate::body::Body;
use crate::documents::{Page, TokenSummary};
use crate::problem::Problem;
use crate::projects;
use crate::route::{Route, route};

/// How long a token is valid, unless said otherwise.
const DAYS: u32 = 90;

/// The longest name of a token.
const MOST_NAME: usize = 128;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub(super) fn routes() -> Vec<Route> {
    vec![
        route(Method::GET, "/api/v1/tokens", Role::Admin, list)
            .about("tokens.list", "The tokens of the project, the oldest first")
            .query::<ListQuery>()
            .answers::<Page<TokenSummary>>(200)
            .problems(&[422]),
        route(Method::POST, "/api/v1/tokens", Role::Admin, create)
            .about("tokens.create", "Gives a token, which is shown this once")
            .body::<NewToken>()
            .answers::<TokenSummary>(201),
        route(Method::DELETE, "/api/v1/tokens/{id}", Role::Admin, revoke)
            .about("tokens.revoke", "Takes a token back, on all servers within a second")
            .answers_nothing(204),
    ]
}

/// A token that is asked for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewToken {
    /// What it is for; it stands in events and in the audit log.
    name: String,
    /// What its holder may do.
    role: Role,
    /// For how many days it is valid: 90 unless said otherwise.
    expires_in_days: Option<u32>,
    /// The project that it is for: that of the caller unless said otherwise. Another one needs a token
    /// of the installation.
    project: Option<String>,
}

/// Which tokens are listed.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    /// Those of this project; another one than the caller's needs a token of the installation.
    project: Option<String>,
    /// How many, at most 500.
    limit: Option<usize>,
    /// Where the list goes on: the `next_cursor` of the part before.
    cursor: Option<String>,
}

/// The project that is named, or that of the caller.
async fn project_of(app: &App, caller: &Caller, named: Option<&str>) -> Result<ProjectId, Problem> {
    let Some(named) = named.filter(|named| *named != caller.project().as_str()) else {
        return Ok(caller.project().clone());
    };
    // Whether there is such a project is told to nobody else.
    caller.only_of_installation(app, "another project")?;
    let not_found =
        || Problem::unprocessable("project.not_found", format!("there is no project `{named}`"));
    let id = ProjectId::new(named).map_err(|_| not_found())?;
    match projects::exists(&*app.home, &id).await? {
        true => Ok(id),
        false => Err(not_found().hint("make it with `POST /api/v1/projects`")),
    }
}

fn summary(token: &TokenRecord) -> TokenSummary {
    TokenSummary {
        id: token.id.clone(),
        name: token.name.clone(),
        role: token.role.to_string(),
        project: token.project.to_string(),
        is_of_installation: token.is_of_installation,
        created_at: token.created_at.to_string(),
        expires_at: token.expires_at.map(|at| at.to_string()),
        token: None,
    }
}

async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Params(asked): Params<ListQuery>,
) -> Result<Json<Page<TokenSummary>>, Problem> {
    let limit = limit(asked.limit)?;
    let tokens = app.tokens.of(&project_of(&app, &caller, asked.project.as_deref()).await?);
    let from = match &asked.cursor {
        Some(last) => {
            let found = tokens.iter().position(|token| token.id == *last);
            // One that was taken back meanwhile is as any other that was never given.
            found.ok_or_else(bad_cursor)? + 1
        }
        None => 0,
    };
    let mut part: Vec<_> = tokens.iter().skip(from).take(limit + 1).collect();
    let next_cursor = cut(&mut part, limit, |token| token.id.clone());
    Ok(Json(Page { items: part.into_iter().map(|token| summary(token)).collect(), next_cursor }))
}

async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    Body(asked): Body<NewToken>,
) -> Result<Response, Problem> {
    let is_good = |name: &str| {
        (1..=MOST_NAME).contains(&name.chars().count()) && !name.chars().any(char::is_control)
    };
    if !is_good(&asked.name) {
        let detail = format!("`name` has 1 to {MOST_NAME} characters, and no control characters");
        return Err(Problem::unprocessable("request.invalid", detail));
    }
    let days = asked.expires_in_days.unwrap_or(DAYS);
    if days == 0 {
        let detail = "`expires_in_days` is at least 1";
        return Err(Problem::unprocessable("request.invalid", detail));
    }
    let project = project_of(&app, &caller, asked.project.as_deref()).await?;
    let token = Token::random().map_err(|error| {
        let detail = format!("the system has no random numbers: {error}");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "server.no_randomness", detail)
    })?;
    let now = now();
    let record = TokenRecord {
        id: Uuid::now_v7().to_string(),
        name: asked.name,
        role: asked.role,
        project: project.clone(),
        is_of_installation: false,
        digest: token.digest(),
        created_at: now,
        expires_at: Some(now.after(DAY * days)),
    };
    // Where it is valid, whoever gives it.
    let entry = audit::entry(&caller, "token.create", &record.id);
    let entry = AuditEntry { project: Some(project), ..entry };
    let mut shown = summary(&record);
    app.tokens.keep(record, entry).await?;
    shown.token = Some(token.reveal());
    Ok((StatusCode::CREATED, Json(shown)).into_response())
}

async fn revoke(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(id): Named<String>,
) -> Result<StatusCode, Problem> {
    let not_found = || Problem::not_found("token.not_found", format!("there is no token `{id}`"));
    let is_seen = |token: &Arc<TokenRecord>| {
        token.project == *caller.project() || caller.is_of_installation()
    };
    let token = app.tokens.by_id(&id).filter(is_seen).ok_or_else(not_found)?;
    if token.is_of_installation {
        caller.only_of_installation(&app, "taking back such a token")?;
    }
    let entry = audit::entry(&caller, "token.revoke", &id);
    let entry = AuditEntry { project: Some(token.project.clone()), ..entry };
    match app.tokens.revoke(&id, entry).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(not_found()),
    }
}

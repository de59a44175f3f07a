//! Tokens: given, listed, and taken back.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Deserialize;
use uuid::Uuid;

use super::pages::Named;
use crate::app::{App, now};
use crate::audit;
use crate::auth::{Caller, Role, Token, TokenRecord};
use crate::body::Body;
use crate::documents::{Page, TokenSummary};
use crate::problem::Problem;
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
            .answers::<Page<TokenSummary>>(200),
        route(Method::POST, "/api/v1/tokens", Role::Admin, create)
            .about("tokens.create", "Gives a token, which is shown this once")
            .body::<NewToken>()
            .answers::<TokenSummary>(201)
            .problems(&[503]),
        route(Method::DELETE, "/api/v1/tokens/{id}", Role::Admin, revoke)
            .about("tokens.revoke", "Takes a token back, on all servers within a second")
            .answers_nothing(204)
            .problems(&[404, 503]),
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
}

fn summary(token: &TokenRecord) -> TokenSummary {
    TokenSummary {
        id: token.id.clone(),
        name: token.name.clone(),
        role: token.role.to_string(),
        project: token.project.to_string(),
        created_at: token.created_at.to_string(),
        expires_at: token.expires_at.map(|at| at.to_string()),
        token: None,
    }
}

async fn list(State(app): State<Arc<App>>, caller: Caller) -> Json<Page<TokenSummary>> {
    let tokens = app.tokens.of(caller.project());
    let items = tokens.iter().map(|token| summary(token)).collect();
    Json(Page { items, next_cursor: None })
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
    let token = Token::random().map_err(|error| {
        let detail = format!("the system has no random numbers: {error}");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "server.no_randomness", detail)
    })?;
    let now = now();
    let record = TokenRecord {
        id: Uuid::now_v7().to_string(),
        name: asked.name,
        role: asked.role,
        project: caller.project().clone(),
        digest: token.digest(),
        created_at: now,
        expires_at: Some(now.after(DAY * days)),
    };
    let entry = audit::entry(&caller, "token.create", &record.id);
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
    let is_own = app.tokens.of(caller.project()).iter().any(|token| token.id == id);
    if !is_own {
        return Err(not_found());
    }
    let entry = audit::entry(&caller, "token.revoke", &id);
    match app.tokens.revoke(&id, entry).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(not_found()),
    }
}

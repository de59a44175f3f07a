//! Signing in with a browser: a cookie that scripts cannot read and other sites cannot send.

use std::sync::Arc;

use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::app::App;
use crate::auth::{SESSION, Token, refuse};
use crate::body::Body;
use crate::connections::Peer;
use crate::problem::Problem;
use crate::route::{Route, open_route};

/// How long a browser stays signed in, in seconds: a working day.
const LIFE: u32 = 8 * 60 * 60;

pub(super) fn routes() -> Vec<Route> {
    vec![
        open_route(Method::POST, "/session", sign_in)
            .about("session.create", "Signs a browser in, with a token")
            .body::<SignIn>()
            .answers_nothing(204)
            .problems(&[401, 429]),
        open_route(Method::DELETE, "/session", sign_out)
            .about("session.delete", "Signs a browser out")
            .answers_nothing(204),
    ]
}

/// Who signs in.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SignIn {
    /// The token.
    token: String,
}

async fn sign_in(
    State(app): State<Arc<App>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Body(asked): Body<SignIn>,
) -> Result<Response, Problem> {
    let token = asked.token.parse::<Token>().ok();
    let token = token.filter(|token| app.tokens.find(token).is_some());
    let token = token.ok_or_else(|| refuse(&app, peer.0.ip()))?;
    Ok(with_cookie(&app, &token.reveal(), LIFE))
}

async fn sign_out(State(app): State<Arc<App>>) -> Response {
    with_cookie(&app, "", 0)
}

fn with_cookie(app: &App, value: &str, life: u32) -> Response {
    let secure = if app.is_behind_tls { "; Secure" } else { "" };
    let cookie =
        format!("{SESSION}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={life}{secure}");
    let cookie = HeaderValue::try_from(cookie).expect("tokens are ASCII");
    (StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response()
}

//! The door of every route: who asks is known, and may, before anything of the body is read.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use flowcore::ProjectId;

use super::{Role, Token, TokenRecord};
use crate::app::App;
use crate::problem::Problem;
use crate::serve::Peer;

/// Who asks.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    token: Arc<TokenRecord>,
}

impl Caller {
    /// The project that everything it asks for is in.
    pub(crate) fn project(&self) -> &ProjectId {
        &self.token.project
    }

    pub(crate) fn role(&self) -> Role {
        self.token.role
    }

    /// What stands in events and in the audit log.
    pub(crate) fn name(&self) -> &str {
        &self.token.name
    }

    pub(crate) fn token(&self) -> &TokenRecord {
        &self.token
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // A route that asks for the caller and lets everybody in would be a mistake in the table.
        parts.extensions.get::<Self>().cloned().ok_or_else(unknown_caller)
    }
}

/// What a route asks of its callers.
#[derive(Clone)]
pub(crate) struct Guard {
    pub(crate) app: Arc<App>,
    pub(crate) needs: Role,
}

/// Lets only those through who may.
pub(crate) async fn guard(
    State(guard): State<Guard>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    mut request: Request,
    next: Next,
) -> Response {
    match admit(&guard, peer.0.ip(), &request) {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}

fn admit(guard: &Guard, address: IpAddr, request: &Request) -> Result<Caller, Problem> {
    let bearer = request.headers().get(header::AUTHORIZATION).ok_or_else(unknown_caller)?;
    let text = bearer.to_str().ok().and_then(|text| {
        let (scheme, token) = text.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    let token = text.and_then(|text| text.parse::<Token>().ok());
    let record = token.and_then(|token| guard.app.tokens.find(&token));
    let Some(token) = record else {
        return Err(match guard.app.throttle.wrong(address) {
            None => unknown_caller(),
            Some(wait) => {
                let seconds = HeaderValue::from(wait.as_secs().max(1));
                let detail = "too many wrong tokens came from this address";
                Problem::new(StatusCode::TOO_MANY_REQUESTS, "auth.too_many_failures", detail)
                    .header(header::RETRY_AFTER, seconds)
            }
        });
    };
    if token.role < guard.needs {
        let detail = format!("this needs the role {}, the token has {}", guard.needs, token.role);
        return Err(Problem::new(StatusCode::FORBIDDEN, "auth.forbidden", detail));
    }
    Ok(Caller { token })
}

fn unknown_caller() -> Problem {
    let detail = "a valid token is needed";
    Problem::new(StatusCode::UNAUTHORIZED, "auth.unknown_token", detail)
        .hint("send `Authorization: Bearer TOKEN`; the server printed where its first token is")
        .header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
}

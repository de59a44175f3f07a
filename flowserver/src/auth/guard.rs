//! The door of every route: who asks is known, and may, before anything of the body is read.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts, MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use flowcore::ProjectId;

use super::{Role, Token, TokenRecord};
use crate::app::App;
use crate::connections::Peer;
use crate::problem::Problem;

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

    /// Whether it may also make projects, and tokens in them.
    pub(crate) fn is_of_installation(&self) -> bool {
        self.token.is_of_installation
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
    /// Whether that is not enough, and the token has to be one of the installation.
    pub(crate) of_installation: bool,
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

/// The cookie of a browser that has signed in.
pub(crate) const SESSION: &str = "flow_session";

fn admit(guard: &Guard, address: IpAddr, request: &Request) -> Result<Caller, Problem> {
    let text = token_text(request.headers()).ok_or_else(unknown_caller)?;
    let token = text.parse::<Token>().ok();
    let record = token.and_then(|token| guard.app.tokens.find(&token));
    let token = record.ok_or_else(|| refuse(&guard.app, address))?;
    if let Some(wait) = guard.app.rates.comes(&token.id) {
        // Whole seconds, and not before the time.
        let seconds = HeaderValue::from(wait.as_secs() + 1);
        let detail = "more requests came with this token than it may make";
        return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "request.too_many", detail)
            .hint("wait as long as `Retry-After` says; `--rate-limit` says how many may come")
            .header(header::RETRY_AFTER, seconds));
    }
    if token.role < guard.needs {
        let detail = format!("this needs the role {}, the token has {}", guard.needs, token.role);
        return Err(forbidden(guard, &token, request, detail));
    }
    if guard.of_installation && !token.is_of_installation {
        let detail = "this needs a token of the installation, such as the first one".to_owned();
        return Err(forbidden(guard, &token, request, detail));
    }
    Ok(Caller { token })
}

fn forbidden(
    guard: &Guard,
    token: &Arc<TokenRecord>,
    request: &Request,
    detail: String,
) -> Problem {
    let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    guard.app.refused.forbidden(token, format!("{} {route}", request.method()));
    Problem::new(StatusCode::FORBIDDEN, "auth.forbidden", detail)
}

impl Caller {
    /// Refuses what only a token of the installation may, and a route cannot say.
    pub(crate) fn only_of_installation(&self, app: &App, what: &str) -> Result<(), Problem> {
        if self.is_of_installation() {
            return Ok(());
        }
        app.refused.forbidden(&self.token, what.to_owned());
        let detail = format!("{what} needs a token of the installation");
        Err(Problem::new(StatusCode::FORBIDDEN, "auth.forbidden", detail))
    }
}

/// What a request says that its token is: in its header, or in the cookie of a browser, which sends it
/// only from the server's own pages.
fn token_text(headers: &HeaderMap) -> Option<&str> {
    if let Some(bearer) = headers.get(header::AUTHORIZATION) {
        let split = bearer.to_str().ok().and_then(|text| text.split_once(' '));
        let token = split.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        return Some(token.map_or("", |(_, token)| token.trim()));
    }
    let cookies = headers.get_all(header::COOKIE).into_iter().filter_map(|one| one.to_str().ok());
    let mut pairs = cookies.flat_map(|one| one.split(';')).map(str::trim);
    pairs.find_map(|pair| pair.strip_prefix(SESSION)?.strip_prefix('='))
}

/// The answer to a wrong token.
pub(crate) fn refuse(app: &App, address: IpAddr) -> Problem {
    refuse_with(app, address, "wrong tokens", unknown_caller)
}

/// The answer to something that was to prove who asks, and does not; after many of them, that the
/// address has to wait.
pub(crate) fn refuse_with(
    app: &App,
    address: IpAddr,
    what: &str,
    otherwise: impl FnOnce() -> Problem,
) -> Problem {
    app.refused.wrong(address);
    let Some(wait) = app.throttle.wrong(address) else { return otherwise() };
    let seconds = HeaderValue::from(wait.as_secs().max(1));
    let detail = format!("too many {what} came from this address");
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "auth.too_many_failures", detail)
        .header(header::RETRY_AFTER, seconds)
}

fn unknown_caller() -> Problem {
    let detail = "a valid token is needed";
    Problem::new(StatusCode::UNAUTHORIZED, "auth.unknown_token", detail)
        .hint("send `Authorization: Bearer TOKEN`; the server printed where its first token is")
        .header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
}

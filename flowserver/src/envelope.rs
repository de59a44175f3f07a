//! What holds for every request and every answer, whatever the route.

use std::any::Any;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{self, HeaderMap, HeaderName};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tracing::Instrument;
use uuid::Uuid;

use crate::api::HOOKS;
use crate::app::App;
use crate::problem::{Code, Problem};
use crate::traces::RequestTrace;

/// Names a request in logs, in the answer, and, when it comes with one, for whoever sent it.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest id of a request that is taken over.
const MOST_ID: usize = 128;

/// What every answer says to browsers.
const HEADERS: [(HeaderName, &str); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
         connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Looks at where a request is meant to go and where it comes from, names it, and finishes its answer.
pub(crate) async fn envelope(
    State(app): State<Arc<App>>,
    request: Request,
    next: Next,
) -> Response {
    let id = request_id(request.headers());
    let shown_id = id.to_str().unwrap_or_default();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map(MatchedPath::as_str);
    let trace = RequestTrace::begin(app.traces.as_ref(), request.headers(), route);
    // Of the highest level: its lines are to have an id whatever the level of the log.
    let span = tracing::error_span!(
        "request",
        request_id = shown_id,
        trace_id = trace.trace_id().map(tracing::field::display),
        method = %request.method(),
        path = shown(request.uri().path()),
    );
    let began = Instant::now();
    let method = request.method().clone();
    let answer = async {
        let checked = check_host(&app, &request).and_then(|()| check_origin(&request));
        let response = match checked {
            Ok(()) => next.run(request).await,
            Err(problem) => problem.into_response(),
        };
        tracing::debug!(status = response.status().as_u16(), "answered");
        response
    };
    let mut response = trace.inside(answer).instrument(span).await;
    let (status, took) = (response.status().as_u16(), began.elapsed());
    app.metrics.answered(method.as_str(), route, status, took);
    trace.end(&method, route, status, shown_id, took);
    if let Some(Code(code)) = response.extensions_mut().remove() {
        app.metrics.problem(code);
    }
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, id);
    for (name, value) in HEADERS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    // What is answered is of this moment, unless it says otherwise.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// A path as the log has it: the address of a webhook may be all that it takes to start executions.
fn shown(path: &str) -> &str {
    if path.starts_with(HOOKS) { HOOKS } else { path }
}

fn request_id(headers: &HeaderMap) -> HeaderValue {
    let is_good = |value: &&HeaderValue| {
        let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(byte);
        let bytes = value.as_bytes();
        (1..=MOST_ID).contains(&bytes.len()) && bytes.iter().all(is_plain)
    };
    let given = headers.get(REQUEST_ID).filter(is_good).cloned();
    given.unwrap_or_else(|| {
        let id = Uuid::now_v7().to_string();
        HeaderValue::try_from(id).expect("a UUID is a header")
    })
}

/// A name that a browser was tricked into resolving to this machine is not one of the server's.
fn check_host(app: &App, request: &Request) -> Result<(), Problem> {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.or_else(|| request.uri().authority().map(|authority| authority.as_str()));
    let by_address = request.extensions().get::<AnyAddress>().is_some();
    if host.is_some_and(|host| app.hosts.knows(host) || (by_address && is_address(host))) {
        return Ok(());
    }
    let detail = "the request is for another host";
    let hint = "add the name to the server with `--allow-host`";
    Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, "request.unknown_host", detail).hint(hint))
}

/// A page of another site may neither change anything here nor listen.
fn check_origin(request: &Request) -> Result<(), Problem> {
    let headers = request.headers();
    let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
    let own = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let origin = origin.to_str().unwrap_or_default();
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    let streams = headers
        .get(header::ACCEPT)
        .is_some_and(|accept| accept.to_str().is_ok_and(|text| text.contains("event-stream")));
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let matters = !is_read || streams || headers.contains_key(header::UPGRADE);
    if !matters || authority.is_some_and(|authority| authority.eq_ignore_ascii_case(own)) {
        return Ok(());
    }
    let detail = "the request comes from a page of another site";
    Err(Problem::new(StatusCode::FORBIDDEN, "request.foreign_origin", detail))
}

/// A handler has panicked: the client is told so, and nothing else.
pub(crate) fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let message = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned());
    tracing::error!(message, "a request panicked");
    let detail = "this is a bug in Flow; the log of the server has more";
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "server.bug", detail).into_response()
}

pub(crate) async fn not_found(request: Request) -> Problem {
    Problem::not_found(
        "request.no_such_path",
        format!("there is nothing at {}", request.uri().path()),
    )
    .hint("`/openapi.json` lists everything that there is")
}

pub(crate) async fn method_not_allowed(request: Request) -> Problem {
    let detail = format!("{} does not work here", request.method());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "request.method_not_allowed", detail)
}

/// A request may be for any address: it came to a listener that nobody but machines asks. A page that was
/// tricked to ask it would ask for a name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AnyAddress;

/// Whether a `Host` header is an address instead of a name.
fn is_address(host: &str) -> bool {
    let without_port = host.trim_start_matches('[').trim_end_matches(']');
    host.parse::<SocketAddr>().is_ok() || without_port.parse::<IpAddr>().is_ok()
}

/// The names that the server is called by.
#[derive(Debug, Clone)]
pub(crate) struct Hosts(Vec<String>);

impl Hosts {
    /// Loopback, and these.
    pub(crate) fn new(others: impl IntoIterator<Item = String>) -> Self {
        let own = ["localhost", "127.0.0.1", "[::1]"].map(str::to_owned);
        Self(
            own.into_iter()
                .chain(others.into_iter().map(|host| host.to_ascii_lowercase()))
                .collect(),
        )
    }

    /// Whether a `Host` header names the server; the port does not matter.
    fn knows(&self, host: &str) -> bool {
        let end = match host.strip_prefix('[') {
            Some(rest) => rest.find(']').map_or(host.len(), |end| end + 2),
            None => host.find(':').unwrap_or(host.len()),
        };
        let (name, port) = host.split_at(end);
        let is_port = |port: &str| port.parse::<u16>().is_ok();
        let is_whole = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        is_whole && self.0.iter().any(|known| known.eq_ignore_ascii_case(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_own_names_are_the_servers() {
        let hosts = Hosts::new(["Flow.Example.org".to_owned()]);
        for good in [
            "localhost",
            "LOCALHOST:8080",
            "127.0.0.1:1",
            "[::1]",
            "[::1]:8080",
            "flow.example.org",
            "flow.example.org:443",
        ] {
            assert!(hosts.knows(good), "{good}");
        }
        for bad in [
            "",
            "evil.test",
            "localhost.evil.test",
            "127.0.0.1.evil.test",
            "localhost:80:80",
            "localhost:x",
            "localhost:99999",
            "[::1",
            "[::1]x",
            "[::2]",
            "user@localhost",
            "localhost.",
        ] {
            assert!(!hosts.knows(bad), "{bad}");
        }
        for address in ["10.1.2.3", "10.1.2.3:80", "[::1]:80", "[::1]", "::1"] {
            assert!(is_address(address), "{address}");
        }
        for name in ["", "1", "evil.test", "evil.test:80", "10.1.2.3.evil.test", "localhost"] {
            assert!(!is_address(name), "{name}");
        }
    }
}

//! What is wrong with a request, for clients: problem documents of RFC 9457.

use std::borrow::Cow;

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use flowcore::{Diagnostics, SignalError};
use flowruntime::store::StoreError;
use flowruntime::{LoadError, RerunFailure, StartError, TellError};
use schemars::JsonSchema;
use serde::Serialize;

use crate::triggers::{PublishError, SaveError};

/// Why a request was not done.
#[derive(Debug)]
pub(crate) struct Problem(Box<Parts>);

#[derive(Debug)]
struct Parts {
    status: StatusCode,
    code: Cow<'static, str>,
    detail: String,
    hint: Option<String>,
    errors: Option<Diagnostics>,
    header: Option<(HeaderName, HeaderValue)>,
}

/// The code of a problem, with the answer that says it.
#[derive(Debug, Clone)]
pub(crate) struct Code(pub(crate) Cow<'static, str>);

/// The form of a problem document.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Document<'a> {
    /// Names the kind of problem: `urn:flow:problem:` and its code.
    r#type: String,
    /// The status in words.
    title: &'a str,
    /// The HTTP status.
    status: u16,
    /// The stable code, as everywhere in Flow.
    code: &'a str,
    /// What is wrong.
    detail: &'a str,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
    /// Every problem of a workflow or its inputs, each with its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<serde_json::Value>>")]
    errors: Option<&'a Diagnostics>,
}

impl Problem {
    pub(crate) fn new(
        status: StatusCode,
        code: impl Into<Cow<'static, str>>,
        detail: impl Into<String>,
    ) -> Self {
        let (code, detail) = (code.into(), detail.into());
        let (hint, errors, header) = (None, None, None);
        Self(Box::new(Parts { status, code, detail, hint, errors, header }))
    }

    /// Nothing is here, or nothing that the caller may know of.
    pub(crate) fn not_found(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, detail)
    }

    /// The request cannot be understood.
    pub(crate) fn bad_request(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// What is asked for makes no sense.
    pub(crate) fn unprocessable(
        code: impl Into<Cow<'static, str>>,
        detail: impl Into<String>,
    ) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail)
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    pub(crate) fn errors(mut self, errors: Diagnostics) -> Self {
        self.0.errors = Some(errors);
        self
    }

    pub(crate) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.header = Some((name, value));
        self
    }

    /// An error with a stable code; the status follows from the code.
    fn coded(code: &str, detail: String, hint: Option<String>) -> Self {
        let mut problem = Self::new(status_of(code), code.to_owned(), detail);
        problem.0.hint = hint;
        problem
    }

    /// The document, as text.
    pub(crate) fn to_json(&self) -> String {
        let parts = &self.0;
        let document = Document {
            r#type: format!("urn:flow:problem:{}", parts.code),
            title: parts.status.canonical_reason().unwrap_or("Error"),
            status: parts.status.as_u16(),
            code: &parts.code,
            detail: &parts.detail,
            hint: parts.hint.as_deref(),
            errors: parts.errors.as_ref(),
        };
        serde_json::to_string(&document).expect("it has string keys only")
    }
}

/// The status of an answer that says this code.
fn status_of(code: &str) -> StatusCode {
    match code {
        "execution.not_found" | "workflow.not_found" => StatusCode::NOT_FOUND,
        "execution.finished" | "execution.not_ended" | "execution.skipped" => StatusCode::CONFLICT,
        "execution.too_many_messages" | "signal.too_many" | "execution.queue_full" => {
            StatusCode::TOO_MANY_REQUESTS
        }
        "execution.lost" | "store.closed" | "store.unavailable" | "store.full"
        | "store.saturated" | "store.disk_low" | "store.in_use" => StatusCode::SERVICE_UNAVAILABLE,
        code if code.starts_with("store.") => StatusCode::INTERNAL_SERVER_ERROR,
        "execution.unreadable" | "execution.bad_history" | "execution.not_runnable" => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let text = self.to_json();
        let Parts { status, code, detail, header, .. } = *self.0;
        if status.is_server_error() {
            tracing::error!(%code, detail, "a request failed");
        }
        let content_type = (header::CONTENT_TYPE, "application/problem+json");
        let mut response = (status, [content_type], text).into_response();
        // Whoever is told to come again is told when.
        if matches!(&*code, "execution.queue_full" | "store.disk_low") {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response.extensions_mut().insert(Code(code));
        if let Some((name, value)) = header {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Self::coded(error.code(), error.to_string(), error.hint().map(str::to_owned))
    }
}

impl From<LoadError> for Problem {
    fn from(error: LoadError) -> Self {
        Self::coded(error.code(), error.to_string(), None)
    }
}

impl From<TellError> for Problem {
    fn from(error: TellError) -> Self {
        match error {
            TellError::Signal(SignalError::Finished) => {
                Self::coded("execution.finished", "the execution has ended".to_owned(), None)
            }
            other => Self::coded(other.code(), other.to_string(), other.hint()),
        }
    }
}

impl From<RerunFailure> for Problem {
    fn from(error: RerunFailure) -> Self {
        Self::coded(error.code(), error.to_string(), error.hint())
    }
}

impl From<StartError> for Problem {
    fn from(error: StartError) -> Self {
        let (code, hint) = (error.code(), error.hint().map(str::to_owned));
        match error {
            StartError::Workflow(found) => {
                Self::unprocessable(code, "the workflow is invalid").errors(found)
            }
            StartError::Inputs(found) => {
                Self::unprocessable(code, "the inputs are invalid").errors(found)
            }
            StartError::Store(error) => error.into(),
            StartError::Load(error) => error.into(),
            other => Self::coded(code, with_causes(&other), hint),
        }
    }
}

impl From<SaveError> for Problem {
    fn from(error: SaveError) -> Self {
        let detail = error.to_string();
        match error {
            SaveError::Store(error) => error.into(),
            SaveError::PathTaken { .. } => {
                Self::new(StatusCode::CONFLICT, "webhook.path_taken", detail)
                    .hint("paths are unique on a server; take another one")
            }
            SaveError::NoRandomness(_) => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "server.no_randomness", detail)
            }
        }
    }
}

impl From<PublishError> for Problem {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Store(error) => error.into(),
            PublishError::Value(error) => Self::coded(error.code(), error.to_string(), None),
        }
    }
}

/// Why an execution did not start, on one line: the code, and the first problem when there are several.
pub(crate) fn reason_of(error: StartError) -> String {
    let code = error.code();
    let first = match &error {
        StartError::Workflow(found) | StartError::Inputs(found) => found.errors().next(),
        _ => None,
    };
    match first {
        Some(problem) => format!("{code}: {problem}"),
        None => format!("{code}: {}", with_causes(&error)),
    }
}

/// An error with what caused it, on one line.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_go_well_the_next_time_is_503_and_a_store_that_is_broken_is_500() {
        let message = || "why".to_owned();
        for (error, status) in [
            (StoreError::Unavailable { message: message() }, 503),
            (StoreError::Full { message: message() }, 503),
            (StoreError::Saturated { waiting: 7 }, 503),
            (StoreError::Closed, 503),
            (StoreError::Damaged { message: message() }, 500),
            (StoreError::TooNew { found: 9, known: 1 }, 500),
        ] {
            assert!(!error.is_transient() || status == 503);
            assert_eq!(Problem::from(error).into_response().status(), status);
        }
    }
}

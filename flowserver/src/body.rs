//! The bodies of requests: JSON, of a bounded size, in a bounded time.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use crate::problem::Problem;

/// The largest body of a request that carries a workflow.
pub(crate) const MOST_FOR_WORKFLOW: usize = 16 << 20;

/// The largest body of any other request.
pub(crate) const MOST: usize = 1 << 20;

/// How long a body may take to come.
const TIME: Duration = Duration::from_secs(30);

/// A JSON body of at most 1 MiB.
pub(crate) struct Body<T>(pub(crate) T);

/// A JSON body of at most 16 MiB, as text.
pub(crate) struct WorkflowText(pub(crate) String);

/// A JSON body of at most 16 MiB.
pub(crate) struct WorkflowBody<T>(pub(crate) T);

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let text = read(request, MOST).await?;
        // What has no body says what an empty object says.
        let text = if text.trim().is_empty() { "{}" } else { &text };
        parse(text).map(Self)
    }
}

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for WorkflowBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let text = read(request, MOST_FOR_WORKFLOW).await?;
        parse(&text).map(Self)
    }
}

impl<S: Sync> FromRequest<S> for WorkflowText {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        read(request, MOST_FOR_WORKFLOW).await.map(Self)
    }
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T, Problem> {
    serde_json::from_str(text).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => {
            Problem::unprocessable("request.invalid", error.to_string())
        }
        _ => Problem::bad_request("request.bad_json", error.to_string()),
    })
}

async fn read(request: Request, most: usize) -> Result<String, Problem> {
    let headers = request.headers();
    let has_body = headers.contains_key(header::TRANSFER_ENCODING)
        || headers.get(header::CONTENT_LENGTH).is_some_and(|length| length != "0");
    if has_body {
        check_headers(headers)?;
    }
    let bytes = collect(request, most).await?;
    String::from_utf8(bytes.into()).map_err(|_| {
        Problem::bad_request("request.bad_json", "the body is not UTF-8, which JSON is written in")
    })
}

/// The bytes of a body, whatever they are: so many at most, and in a bounded time.
pub(crate) async fn collect(request: Request, most: usize) -> Result<Bytes, Problem> {
    let announced = request.headers().get(header::CONTENT_LENGTH);
    let announced = announced.and_then(|length| length.to_str().ok());
    if announced.and_then(|text| text.parse::<u64>().ok()).is_some_and(|n| n > most as u64) {
        return Err(too_large(most));
    }
    let body = Limited::new(request.into_body(), most).collect();
    let collected = tokio::time::timeout(TIME, body).await.map_err(|_| {
        let detail = format!("the body did not come within {} s", TIME.as_secs());
        Problem::new(StatusCode::REQUEST_TIMEOUT, "request.too_slow", detail)
    })?;
    match collected {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large(most)),
        Err(error) => Err(Problem::bad_request("request.cut_off", error.to_string())),
    }
}

fn check_headers(headers: &HeaderMap) -> Result<(), Problem> {
    let unsupported = |detail: &str| {
        Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "request.content_type", detail)
    };
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = content_type.and_then(|text| text.split(';').next()).unwrap_or_default();
    if !essence.trim().eq_ignore_ascii_case("application/json") {
        return Err(
            unsupported("the body must be JSON").hint("send `Content-Type: application/json`")
        );
    }
    if headers.contains_key(header::CONTENT_ENCODING) {
        return Err(compressed());
    }
    Ok(())
}

/// A body could be far larger than what comes.
pub(crate) fn compressed() -> Problem {
    let detail = "compressed bodies are not read";
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "request.content_type", detail)
}

fn too_large(most: usize) -> Problem {
    let detail = format!("the body may have at most {} MiB", most >> 20);
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "request.too_large", detail)
}

#[cfg(test)]
mod tests {
    use axum::body::{Body as Bytes, Bytes as Chunk};
    use futures_util::{StreamExt, stream};
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn s22_a_body_comes_within_thirty_seconds_however_many_bytes_come_before() {
        let began = Instant::now();
        let dribbles = stream::repeat(()).then(|()| async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok::<_, std::io::Error>(Chunk::from_static(b" "))
        });
        let request = Request::builder()
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::TRANSFER_ENCODING, "chunked")
            .body(Bytes::from_stream(dribbles));
        let read = Body::<serde_json::Value>::from_request(request.unwrap(), &()).await;
        let problem = read.map(|_| ()).unwrap_err().to_json();
        assert!(problem.contains("request.too_slow"), "{problem}");
        assert_eq!(began.elapsed(), TIME);
    }
}

//! What an answer means for the node.

use std::sync::Arc;
use std::time::Duration;

use flowcore::{NodeContext, NodeError, NodeOutput, Object, Value};
use reqwest::header::HeaderMap;
use reqwest::{Response, StatusCode};

use super::content_type::ContentType;
use super::retry_after::retry_after;
use crate::content::read_json_yielding;
use crate::encoding::Encoding;
use crate::error::with_cause;

/// How much of the body a failure shows.
const SHOWN_CHARS: usize = 200;

/// Enough for that in any charset.
const SHOWN_BYTES: usize = 4 * SHOWN_CHARS;

/// How long that may take; the status is worth more.
const SHOWN_LIMIT: Duration = Duration::from_secs(1);

/// How a body is read.
pub(super) struct Reading {
    pub(super) encoding: Encoding,
    pub(super) max_bytes: usize,
}

/// The outputs of the node. `shown` names the request in errors.
pub(super) async fn output(
    ctx: &NodeContext,
    mut response: Response,
    shown: &str,
    reading: &Reading,
) -> Result<NodeOutput, NodeError> {
    let headers = describe(response.headers())?;
    let bytes = read(&mut response, shown, reading.max_bytes).await?;
    let content_type = ContentType::of(response.headers());
    let text = content_type.decode(&bytes);
    let json = match content_type.is_json() && !bytes.is_empty() {
        true => parse(ctx, shown, text.clone()).await,
        false => None,
    };
    let body = match (reading.encoding, text) {
        (Encoding::Text, None) => return Err(not_text(shown)),
        (Encoding::Text, Some(text)) => Value::from(text),
        (Encoding::Auto, Some(text)) if !content_type.is_media() => Value::from(text),
        (Encoding::Auto | Encoding::Bytes, _) => Value::from(bytes),
    };
    let status = response.status();
    let mut output = NodeOutput::of("status", status.as_u16())
        .with("headers", headers)
        .with("body", body)
        .with("success", !is_failure(status));
    if let Some(json) = json {
        output.set("json", json);
    }
    Ok(output)
}

/// Whether a status is a failure.
pub(super) fn is_failure(status: StatusCode) -> bool {
    status.is_client_error() || status.is_server_error() || status.as_u16() >= 600
}

/// The failure that a status stands for.
pub(super) async fn failure(ctx: &NodeContext, response: Response, shown: &str) -> NodeError {
    let status = response.status();
    let reason = status.canonical_reason().map(|reason| format!(" {reason}"));
    let message = format!("{shown} answered {}{}", status.as_u16(), reason.unwrap_or_default());
    let retryable = status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429);
    let error = NodeError::new("http.status", message)
        .with_retryable(retryable)
        .with_hint("with `fail_on_status` off, the node succeeds and gives the `status`");
    let error = match retry_after(response.headers(), ctx.clock().now()) {
        Some(wait) if retryable => error.with_retry_after(wait),
        _ => error,
    };
    with_cause(error, &start(response).await)
}

/// Lower-case names; of a header that is repeated, the values with commas between.
fn describe(headers: &HeaderMap) -> Result<Object, NodeError> {
    let mut object = Object::new();
    for name in headers.keys() {
        let values = headers.get_all(name).into_iter();
        let values: Vec<_> = values.map(|v| String::from_utf8_lossy(v.as_bytes())).collect();
        object.insert(name.as_str(), values.join(", "))?;
    }
    Ok(object)
}

async fn read(response: &mut Response, shown: &str, limit: usize) -> Result<Vec<u8>, NodeError> {
    let too_large = || {
        let message = format!("the body that {shown} answered has more than {limit} bytes");
        NodeError::new("http.response_too_large", message).with_hint("raise `max_response_bytes`")
    };
    let announced =
        response.content_length().map_or(0, |length| length.try_into().unwrap_or(limit));
    if announced > limit {
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(announced);
    while let Some(chunk) = response.chunk().await.map_err(|error| broken(shown, error))? {
        if chunk.len() > limit - bytes.len() {
            return Err(too_large());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn broken(shown: &str, error: reqwest::Error) -> NodeError {
    NodeError::retryable("http.body", format!("the body that {shown} answered broke off"))
        .with_source(&error.without_url())
}

fn not_text(shown: &str) -> NodeError {
    NodeError::new("http.body", format!("the body that {shown} answered is not text"))
        .with_hint("set `encoding` to `bytes` or `auto`")
}

/// The beginning of a text, as far as it comes soon; empty for anything else.
async fn start(mut response: Response) -> String {
    let mut bytes = Vec::new();
    let read = async {
        while let (true, Ok(Some(chunk))) = (bytes.len() < SHOWN_BYTES, response.chunk().await) {
            bytes.extend_from_slice(&chunk);
        }
    };
    let _ = tokio::time::timeout(SHOWN_LIMIT, read).await;
    let content_type = ContentType::of(response.headers());
    if content_type.is_media() {
        return String::new();
    }
    // The cut may be in the middle of a character.
    bytes.truncate(SHOWN_BYTES);
    let text = content_type.decode_lossily(&bytes);
    text.trim().chars().take(SHOWN_CHARS).collect()
}

/// What claims to be JSON and is not is worth a warning, and no more: the text is there as well.
async fn parse(ctx: &NodeContext, shown: &str, text: Option<Arc<str>>) -> Option<Value> {
    let warn = |reason: String| {
        ctx.warning(format!("{shown} answered with JSON that is not: {reason}"));
    };
    let Some(text) = text else {
        warn("it is not text".to_owned());
        return None;
    };
    match read_json_yielding(text).await {
        Ok(json) => Some(json),
        Err(error) => {
            warn(format!("{error} at byte {}", error.offset));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use axum::Router;
    use axum::http::HeaderMap as Headers;
    use axum::response::IntoResponse;
    use axum::routing::get;
    use flowcore::{NodeEvent, Timestamp};
    use serde_json::json;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::super::request::RequestFactory;
    use super::super::test_server::{TestServer, anywhere, request};
    use super::*;
    use crate::testing::{Recorder, node};

    /// Answers every request with this.
    async fn answering<A: IntoResponse + Clone + Send + Sync + 'static>(answer: A) -> TestServer {
        let answer = move || std::future::ready(answer.clone().into_response());
        TestServer::start(Router::new().route("/{*path}", get(answer))).await
    }

    async fn body(content_type: &'static str, bytes: &'static [u8]) -> NodeOutput {
        let server = answering(([("content-type", content_type)], bytes)).await;
        request(json!({"url": server.url("/x")})).await.unwrap()
    }

    #[tokio::test]
    async fn a_body_is_text_where_it_can_be() {
        let text = body("text/csv; charset=latin1", b"\xe6,1\n").await;
        assert_eq!(text.get("body"), Some(&Value::from("æ,1\n")));
        assert_eq!(text.get("json"), None);
        let bytes = body("application/octet-stream", b"\xff\0").await;
        assert_eq!(bytes.get("body"), Some(&Value::from(vec![0xff_u8, 0])));
        let image = body("image/gif", b"GIF89a").await;
        assert_eq!(image.get("body"), Some(&Value::from(&b"GIF89a"[..])));
    }

    #[tokio::test]
    async fn the_encoding_may_be_forced() {
        let server = answering(([("content-type", "image/x")], &b"text"[..])).await;
        let config = json!({"url": server.url("/x"), "encoding": "text"});
        let text = request(config).await.unwrap();
        assert_eq!(text.get("body"), Some(&Value::from("text")));
        let server = answering(&b"\xff"[..]).await;
        let config = json!({"url": server.url("/x"), "encoding": "text"});
        assert_eq!(request(config).await.unwrap_err().code(), "http.body");
        let server = answering("text").await;
        let config = json!({"url": server.url("/x"), "encoding": "bytes"});
        let bytes = request(config).await.unwrap();
        assert_eq!(bytes.get("body"), Some(&Value::from(&b"text"[..])));
    }

    #[tokio::test]
    async fn json_is_read_or_the_port_is_dead() {
        let output = body("application/vnd.api+json", b"{\"b\":1,\"a\":9223372036854775808}").await;
        assert_eq!(output.get("json").unwrap().to_string(), r#"{"b":1,"a":9223372036854775808}"#);
        let empty = body("application/json", b"").await;
        assert_eq!((empty.get("json"), empty.get("body")), (None, Some(&Value::from(""))));
        let recorder = Recorder::shared();
        let server = answering(([("content-type", "application/json")], "{\"a\":")).await;
        let ctx = anywhere(json!({"url": server.url("/x?token=s3cret")})).sink(recorder.clone());
        let broken = node(&RequestFactory::default()).execute(ctx.build()).await.unwrap();
        assert_eq!((broken.get("json"), broken.get("body")), (None, Some(&Value::from("{\"a\":"))));
        let [NodeEvent::Warning { message }] = &recorder.events()[..] else {
            panic!("one warning")
        };
        let shown = format!("GET {}", server.url("/x"));
        assert!(
            message.starts_with(&format!("{shown} answered with JSON that is not")),
            "{message}"
        );
    }

    #[tokio::test]
    async fn headers_are_told_in_lower_case() {
        let headers = [("X-Number", "1"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")];
        let answer = move || async move {
            let headers =
                headers.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
            let mut map = Headers::new();
            headers.into_iter().for_each(|(name, value): (axum::http::HeaderName, _)| {
                map.append(name, value);
            });
            map
        };
        let server = TestServer::start(Router::new().route("/", get(answer))).await;
        let output = request(json!({"url": server.url("/")})).await.unwrap();
        let headers = output.get("headers").unwrap();
        assert_eq!(headers.get("x-number"), Some(&Value::from("1")));
        assert_eq!(headers.get("set-cookie"), Some(&Value::from("a=1, b=2")));
        assert_eq!(output.get("status"), Some(&Value::from(200)));
    }

    #[tokio::test]
    async fn failures_say_what_the_server_said() {
        let headers = [("retry-after", "7")];
        let said = format!(" no\n{}", "æ".repeat(300));
        for (status, retryable) in
            [(404, false), (408, true), (425, true), (429, true), (503, true)]
        {
            let status = StatusCode::from_u16(status).unwrap();
            let server = answering((
                axum::http::StatusCode::from_u16(status.as_u16()).unwrap(),
                headers,
                said.clone(),
            ))
            .await;
            let url = server.url("/x");
            let error = request(json!({"url": format!("{url}?token=s3cret")})).await.unwrap_err();
            assert_eq!(error.code(), "http.status");
            assert_eq!(error.message(), format!("GET {url} answered {status}"));
            let [cause] = error.causes() else { panic!("one cause") };
            assert_eq!(*cause, format!("no\n{}", "æ".repeat(SHOWN_CHARS - 3)));
            assert_eq!(error.is_retryable(), retryable, "{status}");
            let wait = retryable.then_some(Duration::from_secs(7));
            assert_eq!(error.retry_after(), wait, "{status}");
        }
    }

    #[tokio::test]
    async fn the_wait_counts_from_the_clock_of_the_context() {
        let until = httpdate::fmt_http_date(std::time::UNIX_EPOCH + Duration::from_secs(90));
        let status = axum::http::StatusCode::TOO_MANY_REQUESTS;
        let server = answering((status, [("retry-after", until)])).await;
        let ctx = anywhere(json!({"url": server.url("/x")})).build();
        assert_eq!(ctx.clock().now(), Timestamp::default());
        let error = node(&RequestFactory::default()).execute(ctx).await.unwrap_err();
        assert_eq!(error.retry_after(), Some(Duration::from_secs(90)));
        assert!(error.causes().is_empty());
    }

    #[tokio::test]
    async fn a_failure_may_be_an_answer() {
        let server = answering((axum::http::StatusCode::NOT_FOUND, "no")).await;
        let config = json!({"url": server.url("/x"), "fail_on_status": false});
        let output = request(config).await.unwrap();
        assert_eq!(output.get("status"), Some(&Value::from(404)));
        assert_eq!(output.get("success"), Some(&Value::from(false)));
        assert_eq!(output.get("body"), Some(&Value::from("no")));
    }

    #[tokio::test]
    async fn a_failure_with_an_endless_body_is_still_a_failure() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 4096]).await;
            let head = b"HTTP/1.1 500 Oops\r\ncontent-length: 99\r\n\r\nsome";
            stream.write_all(head).await.unwrap();
            std::future::pending::<()>().await;
        };
        let error = tokio::select! {
            result = request(json!({"url": url})) => result.unwrap_err(),
            () = serve => unreachable!("the server goes on"),
        };
        assert_eq!((error.code(), error.causes()), ("http.status", &["some".to_owned()][..]));
    }

    #[tokio::test]
    async fn s33_the_size_counts_after_decompression() {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(&vec![b'x'; 1_000_000]).unwrap();
        let packed = encoder.finish().unwrap();
        assert!(packed.len() < 10_000);
        let server = answering(([("content-encoding", "gzip")], packed)).await;
        let config = |max: usize| json!({"url": server.url("/x"), "max_response_bytes": max});
        let output = request(config(1_000_000)).await.unwrap();
        assert_eq!(output.get("body").unwrap().as_str().unwrap().len(), 1_000_000);
        for max in [999_999, 100_000] {
            let error = request(config(max)).await.unwrap_err();
            assert_eq!(error.code(), "http.response_too_large");
            assert!(!error.is_retryable());
        }
    }

    #[tokio::test]
    async fn an_announced_size_is_refused_at_once() {
        let server = answering(vec![b'x'; 1000]).await;
        let config = |max: usize| json!({"url": server.url("/x"), "max_response_bytes": max});
        assert!(request(config(1000)).await.is_ok());
        assert_eq!(request(config(999)).await.unwrap_err().code(), "http.response_too_large");
        let config = json!({"url": server.url("/x"), "max_response_bytes": 0, "method": "HEAD"});
        let output = request(config).await.unwrap();
        assert_eq!(
            output.get("headers").unwrap().get("content-length"),
            Some(&Value::from("1000"))
        );
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_an_error() {
        let server = answering(([("content-encoding", "gzip")], "this is not gzip")).await;
        let error = request(json!({"url": server.url("/x?token=s3cret")})).await.unwrap_err();
        assert_eq!((error.code(), error.is_retryable()), ("http.body", true));
        assert!(!error.to_string().contains("s3cret"), "{error}");
    }
}

//! What a request that waits for an execution is answered.

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use flowcore::{Event, ExecutionEvent, ExecutionStatus, NodeOutput, Value};
use flowruntime::{ExecutionHandle, Follow, LoadError, Received, Subscription};

use crate::app::App;
use crate::problem::Problem;

/// The node type whose result is the answer.
const RESPOND: &str = "webhook.respond";

/// What browsers may do with what a workflow says: show it. Nothing in it runs, and it is no page of
/// this server.
const CONTAINED: HeaderValue = HeaderValue::from_static(
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; \
     frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
);

/// The events of an execution, as far as an answer follows from them.
pub(crate) enum Watch {
    /// From the store, whoever executes it.
    Kept(Box<Follow>),
    /// Of one that is in memory only.
    Live(Subscription),
}

impl Watch {
    /// The next event; `None` after the last one. Cancel safe.
    async fn next(&mut self) -> Result<Option<ExecutionEvent>, LoadError> {
        match self {
            Self::Kept(follow) => follow.next().await,
            Self::Live(events) => loop {
                match events.next().await {
                    Some(Received::Event(event)) => return Ok(Some(event)),
                    Some(Received::Lagged(_)) => {}
                    None => return Ok(None),
                }
            },
        }
    }
}

/// The answer of a workflow whose outputs are asked for; `None` when it has not ended in time.
pub(crate) async fn answer_of_outputs(
    app: &App,
    handle: &ExecutionHandle,
    wait: Duration,
) -> Option<Response> {
    let result = tokio::select! {
        ended = handle.wait() => ended.ok().filter(|result| result.status.is_terminal())?,
        () = tokio::time::sleep(wait) => return None,
        () = app.draining.begins() => return None,
    };
    Some(match result.status {
        // Values that came from a secret are not shown.
        ExecutionStatus::Succeeded => Json(result.outputs.to_json()).into_response(),
        status => not_succeeded(status).into_response(),
    })
}

/// The answer that a node gives; `None` when none has in time.
pub(crate) async fn answer_of_node(
    app: &App,
    mut watch: Watch,
    wait: Duration,
) -> Result<Option<Response>, Problem> {
    let mut over = std::pin::pin!(tokio::time::sleep(wait));
    loop {
        let event = tokio::select! {
            event = watch.next() => event?,
            () = &mut over => return Ok(None),
            () = app.draining.begins() => return Ok(None),
        };
        let Some(event) = event else { return Ok(None) };
        match event.event() {
            Some(Event::NodeCompleted { instance, outputs, .. })
                if event.plan().spec(instance.node).node_type.as_ref() == RESPOND =>
            {
                return response(outputs).map(Some);
            }
            Some(Event::WorkflowCompleted { status: ExecutionStatus::Succeeded, .. }) => {
                let detail = "the execution ended without a response";
                let status = StatusCode::INTERNAL_SERVER_ERROR;
                return Err(Problem::new(status, "webhook.no_response", detail));
            }
            Some(Event::WorkflowCompleted { status, .. }) => return Err(not_succeeded(*status)),
            _ => {}
        }
    }
}

/// Why is for those who may look at the execution.
fn not_succeeded(status: ExecutionStatus) -> Problem {
    let (http, detail) = match status {
        ExecutionStatus::TimedOut => (StatusCode::GATEWAY_TIMEOUT, "the execution took too long"),
        ExecutionStatus::Cancelled => {
            (StatusCode::INTERNAL_SERVER_ERROR, "the execution was cancelled")
        }
        _ => (StatusCode::INTERNAL_SERVER_ERROR, "the execution failed"),
    };
    Problem::new(http, "webhook.not_succeeded", detail)
}

/// What a node `webhook.respond` said, which it has checked.
fn response(outputs: &NodeOutput) -> Result<Response, Problem> {
    let bad = |what: &str| {
        let detail = format!("the response of the workflow has {what}");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "webhook.bad_response", detail)
    };
    let status = outputs.get("status").and_then(Value::as_u64);
    let status = status.and_then(|status| StatusCode::from_u16(status.try_into().ok()?).ok());
    let mut response = Response::new(match outputs.get("body") {
        None | Some(Value::Null) => Body::empty(),
        Some(Value::String(text)) => Body::from(text.to_string()),
        Some(Value::Bytes(bytes)) => Body::from(bytes.to_vec()),
        Some(other) => Body::from(other.to_json_text()),
    });
    *response.status_mut() = status.ok_or_else(|| bad("no status"))?;
    for (name, value) in
        outputs.get("headers").and_then(Value::as_object).into_iter().flat_map(|all| all.iter())
    {
        let name = HeaderName::try_from(&**name).map_err(|_| bad("a bad header"))?;
        let value = value.as_str().and_then(|text| HeaderValue::from_str(text).ok());
        response.headers_mut().insert(name, value.ok_or_else(|| bad("a bad header"))?);
    }
    Ok(response)
}

/// Keeps what comes from a workflow from being more than data, wherever it is shown.
pub(crate) fn contained(mut response: Response) -> Response {
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, CONTAINED);
    response
}

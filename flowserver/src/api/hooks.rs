//! `/hooks/…`: requests of other systems start executions.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use flowcore::{Durability, ExecutionId, Respond, Value, WebhookTrigger};
use flowruntime::{ExecutionHandle, PreparedExecution, StartError};
use serde_json::json;

use super::start::{accepted, path, read_key};
use crate::app::{App, now};
use crate::audit;
use crate::auth::refuse_with;
use crate::connections::Peer;
use crate::documents::Accepted;
use crate::hooks::{
    Came, Unsigned, Watch, answer_of_node, answer_of_outputs, contained, read_body, verify,
};
use crate::problem::Problem;
use crate::route::{Route, open_route};
use crate::triggers::{Cause, Trigger, prepare};

/// Where webhooks are.
pub(crate) const PREFIX: &str = "/hooks/";

pub(super) fn routes() -> Vec<Route> {
    let one = |method: Method, id: &'static str| {
        open_route(method, "/hooks/{*path}", hook)
            .about(id, "Starts an execution of the workflow whose webhook it is")
            .header("webhook-id", "Names the message: the same one starts one execution")
            .header("webhook-timestamp", "When it was sent, in seconds since 1970")
            .header("webhook-signature", "Signatures, as Standard Webhooks says")
            .header("Idempotency-Key", "Without a signature: makes the start repeatable for 7 days")
            .answers_with(200, "*/*", None)
            .answers::<Accepted>(202)
            .answers_otherwise("What a node `webhook.respond` says")
            .problems(&[400, 401, 408, 409, 413, 415, 422, 429, 504])
    };
    vec![
        one(Method::GET, "hooks.get"),
        one(Method::POST, "hooks.post"),
        one(Method::PUT, "hooks.put"),
        one(Method::PATCH, "hooks.patch"),
        one(Method::DELETE, "hooks.delete"),
    ]
}

/// The same for whatever is not there, is disabled, takes other methods, or has another key: who does
/// not know an address learns nothing.
fn not_found() -> Problem {
    Problem::not_found("webhook.not_found", "there is no webhook here")
}

async fn hook(
    State(app): State<Arc<App>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    request: Request,
) -> Response {
    let answer = answer(&app, peer.0.ip(), request).await;
    contained(answer.unwrap_or_else(IntoResponse::into_response))
}

async fn answer(app: &Arc<App>, from: IpAddr, request: Request) -> Result<Response, Problem> {
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let at = uri.path().strip_prefix(PREFIX).unwrap_or_default();
    let trigger = app.triggers.find_webhook(at, method.as_str()).ok_or_else(not_found)?;
    let Some(webhook) = trigger.webhook() else { return Err(not_found()) };
    let headers = request.headers().clone();
    let body = read_body(request).await?;
    let key = message_key(app, &trigger, webhook, (&headers, &body), from)?;
    let query = uri.query().unwrap_or_default();
    let came = Came { method: &method, path: &webhook.path, query, headers: &headers };
    let came = came.with_body(&body)?;
    let inputs = trigger.listener.inputs(&came).map_err(|error| {
        Problem::unprocessable(error.code, format!("the inputs cannot be made: {error}"))
    })?;
    let audit = |id: &str| {
        let more = [("execution", json!(id)), ("version", json!(trigger.version))];
        audit::scheduled(&trigger.key.project, "webhook.start", &trigger.key.subject(), more)
    };
    let prepared = prepare(app, &trigger, inputs, Cause { key, hops: 0 }, audit).await;
    start(app, webhook, prepared.map_err(refused)?).await
}

/// What names the message, if something does: its id when it has to be signed, and is; else what the
/// client says.
fn message_key(
    app: &App,
    trigger: &Trigger,
    webhook: &WebhookTrigger,
    (headers, body): (&HeaderMap, &Bytes),
    from: IpAddr,
) -> Result<Option<String>, Problem> {
    let id = match &webhook.secret {
        Some(name) => {
            let secrets = app.secrets_of(&trigger.key.project);
            let secret = secrets.get(name).and_then(Value::as_str);
            let verified = verify(secret, headers, body, now());
            Some(verified.map_err(|why| not_signed(app, trigger, name, why, from))?)
        }
        None => headers.get("idempotency-key").map(read_key).transpose()?,
    };
    Ok(id.map(|id| format!("webhook/{}/{}/{id}", trigger.key.workflow, trigger.key.trigger)))
}

fn not_signed(app: &App, trigger: &Trigger, name: &str, why: Unsigned, from: IpAddr) -> Problem {
    if why == Unsigned::NoSecret {
        let webhook = trigger.key.subject();
        tracing::error!(webhook, secret = name, "no such secret signs webhooks: `whsec_…`");
    }
    refuse_with(app, from, "bad signatures", || {
        Problem::new(StatusCode::UNAUTHORIZED, "webhook.bad_signature", why.to_string())
            .header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Signature"))
    })
}

/// Starts the execution, and answers as the trigger says. What was accepted goes on, whoever still
/// waits for the answer.
async fn start(
    app: &Arc<App>,
    webhook: &WebhookTrigger,
    prepared: PreparedExecution,
) -> Result<Response, Problem> {
    let settings = &prepared.plan().workflow().settings;
    let in_memory = settings.durability == Some(Durability::None);
    let live = (in_memory && webhook.respond == Respond::Node).then(|| prepared.events());
    let handle = prepared.start().await.map_err(refused)?;
    let id = handle.id();
    let answer = match webhook.respond {
        Respond::Accepted => None,
        Respond::Outputs => {
            let answer = answer_of_outputs(app, &handle, webhook.timeout()).await;
            answer.map(|answer| with_location(answer, id))
        }
        Respond::Node => {
            let watch = match live {
                Some(events) => Watch::Live(events),
                None => Watch::Kept(Box::new(follow(app, &handle).await?)),
            };
            match answer_of_node(app, watch, webhook.timeout()).await {
                Ok(answer) => answer,
                Err(problem) => Some(with_location(problem.into_response(), id)),
            }
        }
    };
    match answer {
        Some(answer) => Ok(answer),
        None if in_memory => Ok(StatusCode::ACCEPTED.into_response()),
        None => accepted(app, id).await,
    }
}

/// Says which execution it is, to those who may look at it.
fn with_location(mut answer: Response, id: ExecutionId) -> Response {
    let location = HeaderValue::try_from(path(id)).expect("a path is ASCII");
    answer.headers_mut().insert(header::LOCATION, location);
    answer
}

async fn follow(app: &App, handle: &ExecutionHandle) -> Result<flowruntime::Follow, Problem> {
    let follow = app.runtime.follow(handle.id(), 0).await?;
    follow.ok_or_else(|| super::start::not_found(&handle.id().to_string()))
}

/// What keeps an execution from being started is told, but for what only its author can mend.
fn refused(error: StartError) -> Problem {
    match error {
        StartError::Workflow(_) | StartError::NoSuchWorkflow(_) => {
            let detail = "the workflow cannot be started";
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "webhook.not_startable", detail)
        }
        other => other.into(),
    }
}

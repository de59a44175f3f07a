//! Webhooks: their addresses, which are not for everybody's eyes.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{Method, StatusCode};
use flowcore::{Respond, Value, WebhookTrigger, WorkflowId};

use super::hooks::PREFIX;
use super::pages::{Named, Params, PartOfTriggers};
use crate::app::App;
use crate::audit;
use crate::auth::{Caller, Role};
use crate::documents::{self, Page};
use crate::problem::Problem;
use crate::route::{Route, route};
use crate::triggers::{self, Asked, Found, TriggerKey};

pub(super) fn routes() -> Vec<Route> {
    vec![
        route(Method::GET, "/api/v1/webhooks", Role::Editor, list)
            .about("webhooks.list", "The webhooks, each with its whole address")
            .query::<PartOfTriggers>()
            .answers::<Page<documents::Webhook>>(200),
        route(Method::POST, "/api/v1/webhooks/{workflow}/{trigger}/rotate", Role::Editor, rotate)
            .about("webhooks.rotate", "Gives it another address; the one before leads nowhere")
            .answers::<documents::Webhook>(200)
            .problems(&[409]),
    ]
}

async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Params(asked): Params<PartOfTriggers>,
) -> Result<Json<Page<documents::Webhook>>, Problem> {
    app.look().await?;
    let found = app.triggers.of(caller.project());
    let mut found: Vec<_> = found.iter().filter_map(|found| document(&app, found)).collect();
    found.sort_by(|a, b| (&a.workflow_id, &a.trigger).cmp(&(&b.workflow_id, &b.trigger)));
    let next_cursor = asked.cut(&mut found, |webhook| (&webhook.workflow_id, &webhook.trigger))?;
    Ok(Json(Page { items: found, next_cursor }))
}

fn document(app: &App, found: &Found) -> Option<documents::Webhook> {
    let (trigger, webhook) = (&found.trigger, found.trigger.webhook()?);
    Some(documents::Webhook {
        workflow_id: trigger.key.workflow.to_string(),
        version: trigger.version,
        trigger: trigger.key.trigger.clone(),
        url: url(found, webhook),
        methods: webhook.methods.iter().map(|method| method.as_str().to_owned()).collect(),
        secret: webhook.secret.clone(),
        respond: match webhook.respond {
            Respond::Accepted => "accepted",
            Respond::Outputs => "outputs",
            Respond::Node => "node",
        }
        .to_owned(),
        is_enabled: found.is_on(),
        problem: problem(app, found, webhook),
    })
}

fn url(found: &Found, webhook: &WebhookTrigger) -> Option<String> {
    let path = &webhook.path;
    match &webhook.secret {
        Some(_) => Some(format!("{PREFIX}{path}")),
        None => found.address_key().map(|key| format!("{PREFIX}{path}/{key}")),
    }
}

/// Why requests are refused although all is well with them.
fn problem(app: &App, found: &Found, webhook: &WebhookTrigger) -> Option<String> {
    let name = webhook.secret.as_ref()?;
    let secrets = app.secrets_of(&found.trigger.key.project);
    match secrets.get(name).and_then(Value::as_str) {
        None => Some(format!("there is no secret `{name}`")),
        Some(text) if !text.trim().starts_with("whsec_") => Some(format!(
            "the secret `{name}` is not one of Standard Webhooks: `whsec_` and base64"
        )),
        Some(_) => None,
    }
}

async fn rotate(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named((workflow, trigger)): Named<(String, String)>,
) -> Result<Json<documents::Webhook>, Problem> {
    let not_found = || {
        let detail = format!("no workflow `{workflow}` with a webhook `{trigger}` is saved");
        Problem::not_found("webhook.unknown", detail)
    };
    let id = WorkflowId::new(&workflow).map_err(|_| not_found())?;
    let project = caller.project().clone();
    let key = TriggerKey { project, workflow: id, trigger: trigger.clone() };
    app.look().await?;
    let found = app.triggers.get(&key).ok_or_else(not_found)?;
    let webhook = found.trigger.webhook().ok_or_else(not_found)?;
    if webhook.secret.is_some() {
        let detail = "requests to this webhook are signed; its address has no secret part";
        return Err(Problem::new(StatusCode::CONFLICT, "webhook.signed", detail)
            .hint("change the secret that signs them"));
    }
    let entry = audit::entry(&caller, "webhook.rotate", &key.subject());
    let found = triggers::ask(&app, &key, Asked::NewKey, &entry).await?.ok_or_else(not_found)?;
    document(&app, &found).map(Json).ok_or_else(not_found)
}

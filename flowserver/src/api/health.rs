//! How the server is, for those who watch over it; and what it can do, for those who ask it.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use flowruntime::store::Query;

use crate::app::App;
use crate::documents::Health;
use crate::openapi;
use crate::route::{Route, open_route};

/// How long the store may take to answer before the server is not ready.
const STORE_TIME: Duration = Duration::from_secs(2);

pub(super) fn routes() -> Vec<Route> {
    let alive = |path, id| {
        open_route(Method::GET, path, live)
            .about(id, "Whether the process lives")
            .answers::<Health>(200)
    };
    vec![
        alive("/livez", "livez"),
        alive("/healthz", "healthz"),
        open_route(Method::GET, "/readyz", ready)
            .about(
                "readyz",
                "Whether the server takes requests: its store answers, and it is not about to stop",
            )
            .answers::<Health>(200)
            .answers::<Health>(503),
        open_route(Method::GET, "/openapi.json", document)
            .about("openapi", "This document")
            .answers::<serde_json::Value>(200),
    ]
}

async fn live() -> Json<Health> {
    Json(Health { status: "ok".to_owned() })
}

async fn ready(State(app): State<Arc<App>>) -> Response {
    let not_ready = |status: &str| {
        let health = Health { status: status.to_owned() };
        (StatusCode::SERVICE_UNAVAILABLE, Json(health)).into_response()
    };
    if app.draining.has_begun() {
        return not_ready("draining");
    }
    let query = Query { limit: 1, ..Query::default() };
    match tokio::time::timeout(STORE_TIME, app.home.executions(&query)).await {
        Ok(Ok(_)) => live().await.into_response(),
        Ok(Err(error)) => {
            tracing::warn!(%error, "the store does not answer");
            not_ready(error.code())
        }
        Err(_) => not_ready("store.slow"),
    }
}

async fn document(State(app): State<Arc<App>>) -> Json<serde_json::Value> {
    Json(openapi::document(&super::routes(&app)))
}

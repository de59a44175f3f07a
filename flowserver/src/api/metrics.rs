//! How busy the server is.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::app::App;
use crate::auth::Role;
use crate::metrics::CONTENT_TYPE;
use crate::problem::Problem;
use crate::route::{Route, open_route, route};

pub(super) fn routes() -> Vec<Route> {
    vec![
        route(Method::GET, "/metrics", Role::Viewer, metrics)
            .about("metrics", "How busy the server is, for Prometheus")
            .answers_with(200, "application/openmetrics-text", None),
    ]
}

/// Where only those listen who may know.
pub(super) fn routes_apart() -> Vec<Route> {
    vec![open_route(Method::GET, "/metrics", metrics)]
}

async fn metrics(State(app): State<Arc<App>>) -> Result<Response, Problem> {
    let text = app.metrics.to_text().map_err(|error| {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        Problem::new(status, "server.no_metrics", error.to_string())
    })?;
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response())
}

//! The node types that workflows may name.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::Method;
use axum::response::{IntoResponse, Response};
use flowcore::nearest;
use serde_json::json;

use super::pages::Named;
use crate::app::App;
use crate::auth::Role;
use crate::documents::Page;
use crate::problem::Problem;
use crate::route::{Route, route};

pub(super) fn routes() -> Vec<Route> {
    vec![
        route(Method::GET, "/api/v1/nodes", Role::Viewer, list)
            .about("nodes.list", "The node types, each with its ports, its config and examples")
            .answers::<Page<serde_json::Value>>(200),
        route(Method::GET, "/api/v1/nodes/{type}", Role::Viewer, get)
            .about("nodes.get", "A node type")
            .answers::<serde_json::Value>(200),
    ]
}

async fn list(State(app): State<Arc<App>>) -> Response {
    let registry = app.runtime.registry();
    let mut all: Vec<_> = registry.iter().map(|node| &*node.descriptor).collect();
    all.sort_by(|a, b| a.node_type.cmp(&b.node_type));
    Json(json!({"items": all, "next_cursor": null})).into_response()
}

async fn get(State(app): State<Arc<App>>, Named(name): Named<String>) -> Result<Response, Problem> {
    let registry = app.runtime.registry();
    if let Some(node) = registry.get(&name) {
        return Ok(Json(&*node.descriptor).into_response());
    }
    let problem =
        Problem::not_found("node.unknown_type", format!("there is no node type `{name}`"));
    let names = registry.iter().map(|node| &*node.descriptor.node_type);
    Err(match nearest(&name, names) {
        Some(near) => problem.hint(format!("did you mean `{near}`?")),
        None => problem,
    })
}

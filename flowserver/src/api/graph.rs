//! The graph of what an execution runs, for drawing it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::Method;

use super::executions::own;
use super::pages::Named;
use super::start::not_found;
use crate::app::App;
use crate::auth::{Caller, Role};
use crate::documents::{Graph, GraphNode};
use crate::problem::Problem;
use crate::route::{Route, route};

pub(super) fn routes() -> Vec<Route> {
    vec![
        route(Method::GET, "/api/v1/executions/{id}/graph", Role::Viewer, graph)
            .about("executions.graph", "The nodes of what it runs, and what follows what")
            .answers::<Graph>(200)
            .problems(&[404, 503]),
    ]
}

async fn graph(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(id): Named<String>,
) -> Result<Json<Graph>, Problem> {
    let row = own(&app, &caller, &id).await?;
    let handle = app.runtime.handle(row.id).await?.ok_or_else(|| not_found(&id))?;
    let plan = handle.plan();
    let named = &plan.workflow().nodes;
    let nodes = named.iter().map(|node| GraphNode {
        id: node.id.to_string(),
        name: node.name.as_deref().map(str::to_owned),
        node_type: node.node_type.to_string(),
    });
    // The nodes of the workflow itself come first, in the order of the file.
    let edges = (0..).zip(named).flat_map(|(to, _)| {
        plan.graph().predecessors(to).map(move |from| [from as usize, to as usize])
    });
    Ok(Json(Graph { nodes: nodes.collect(), edges: edges.collect() }))
}

//! What executions and workflows look like: as data, and as pictures.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::response::{IntoResponse, Response};
use flowcore::SharedPlan;
use flowcore::drawing::Drawing;
use flowruntime::StartError;
use schemars::JsonSchema;
use serde::Deserialize;

use super::executions::own;
use super::pages::{Named, Params};
use super::start::not_found;
use super::workflows::{self, check};
use crate::app::App;
use crate::auth::{Caller, Role};
use crate::documents::{Graph, GraphNode};
use crate::problem::Problem;
use crate::route::{Route, route};

/// The most nodes and connections that a picture has: where they go takes longer than what it is for.
const MOST_DRAWN: usize = 5_000;

/// A picture is a page of its own when it is opened, and has no power there: no scripts, no origin.
const SANDBOX: HeaderValue =
    HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; sandbox");

const SVG: &str = "image/svg+xml";
const MERMAID: &str = "text/vnd.mermaid";
const DOT: &str = "text/vnd.graphviz";

pub(super) fn routes() -> Vec<Route> {
    let execution = route(Method::GET, "/api/v1/executions/{id}/graph", Role::Viewer, execution)
        .about("executions.graph", "The nodes of what it runs, and what follows what")
        .query::<GraphQuery>();
    let workflow = route(Method::GET, "/api/v1/workflows/{id}/graph", Role::Viewer, workflow)
        .about("workflows.graph", "The nodes of a workflow, and what follows what")
        .query::<WorkflowQuery>();
    let drawn = |route: Route| {
        route
            .header("Accept", "`image/svg+xml`, `text/vnd.mermaid` and `text/vnd.graphviz` draw it")
            .answers::<Graph>(200)
            .answers_also(200, SVG)
            .answers_also(200, MERMAID)
            .answers_also(200, DOT)
            .problems(&[422])
    };
    vec![drawn(execution), drawn(workflow)]
}

/// As what a graph is wanted.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Form {
    /// Nodes and edges.
    Json,
    /// A picture.
    Svg,
    /// A flowchart for Markdown.
    Mermaid,
    /// A graph for Graphviz.
    Dot,
}

/// How a graph is shown.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GraphQuery {
    /// `json`, `svg`, `mermaid` or `dot`; it counts, not `Accept`.
    format: Option<Form>,
}

/// Of which version, and how a graph is shown.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct WorkflowQuery {
    /// The version of the workflow; the current one unless said otherwise.
    version: Option<u64>,
    /// `json`, `svg`, `mermaid` or `dot`; it counts, not `Accept`.
    format: Option<Form>,
}

async fn execution(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(id): Named<String>,
    Params(query): Params<GraphQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let row = own(&app, &caller, &id).await?;
    let handle = app.runtime.handle(row.id).await?.ok_or_else(|| not_found(&id))?;
    show(handle.plan().clone(), query.format, &headers).await
}

async fn workflow(
    State(app): State<Arc<App>>,
    caller: Caller,
    Named(id): Named<String>,
    Params(query): Params<WorkflowQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let saved = app.workflows.get(caller.project(), &id, query.version).await?;
    let saved = saved.ok_or_else(|| workflows::not_found(&id))?;
    let checked = check(&app, &caller, &id, &String::from_utf8_lossy(&saved.text)).await?;
    // It could be run when it was saved; what it calls may have gone since.
    let plan = checked.plan.ok_or(StartError::Workflow(checked.diagnostics))?;
    show(plan, query.format, &headers).await
}

async fn show(
    plan: SharedPlan,
    asked: Option<Form>,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let draw = match asked.unwrap_or_else(|| accepted(headers)) {
        Form::Json => return Ok(Json(graph(&plan)).into_response()),
        Form::Svg => (SVG, Drawing::to_svg as fn(&Drawing) -> String),
        Form::Mermaid => (MERMAID, Drawing::to_mermaid as fn(&Drawing) -> String),
        Form::Dot => (DOT, Drawing::to_dot as fn(&Drawing) -> String),
    };
    let (content_type, draw) = draw;
    let drawn = tokio::task::spawn_blocking(move || {
        let drawing = Drawing::new(&plan);
        (plan.len() + drawing.count_edges() <= MOST_DRAWN).then(|| draw(&drawing))
    });
    let Ok(Some(text)) = drawn.await else {
        let detail = format!("pictures have at most {MOST_DRAWN} nodes and connections");
        return Err(Problem::unprocessable("graph.too_large", detail)
            .hint("`?format=json` has them all, and `flowcli graph` draws any workflow"));
    };
    let content_type = HeaderValue::from_static(content_type);
    let headers =
        [(header::CONTENT_TYPE, content_type), (header::CONTENT_SECURITY_POLICY, SANDBOX)];
    Ok((headers, text).into_response())
}

/// What the client likes best of what there is, in the order in which it says so.
fn accepted(headers: &HeaderMap) -> Form {
    let all = headers.get_all(header::ACCEPT).into_iter().filter_map(|value| value.to_str().ok());
    let names = all.flat_map(|value| value.split(','));
    let names = names.map(|name| name.split(';').next().unwrap_or_default().trim());
    let form = |name: &str| match name.to_ascii_lowercase().as_str() {
        SVG => Some(Form::Svg),
        MERMAID => Some(Form::Mermaid),
        DOT => Some(Form::Dot),
        "application/json" | "application/*" | "*/*" => Some(Form::Json),
        _ => None,
    };
    names.filter_map(form).next().unwrap_or(Form::Json)
}

fn graph(plan: &SharedPlan) -> Graph {
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
    Graph { nodes: nodes.collect(), edges: edges.collect() }
}

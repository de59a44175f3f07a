//! The routes of the API, a file for each kind of thing.

mod audit;
mod events;
mod executions;
mod graph;
mod health;
mod hooks;
mod in_memory;
mod live;
mod metrics;
mod nodes;
mod page;
mod pages;
mod projects;
mod publish;
mod schedules;
mod secrets;
mod session;
mod start;
mod tell;
mod tokens;
mod triggers;
mod webhooks;
mod workflows;

pub(crate) use hooks::PREFIX as HOOKS;

use crate::app::App;
use crate::route::Route;

/// All routes.
pub(crate) fn routes(app: &App) -> Vec<Route> {
    let mut routes = page::routes();
    routes.extend(session::routes());
    routes.extend(health::routes());
    routes.extend(workflows::routes());
    routes.extend(executions::routes());
    routes.extend(tell::routes());
    routes.extend(events::routes());
    routes.extend(graph::routes());
    routes.extend(schedules::routes());
    routes.extend(secrets::routes());
    routes.extend(triggers::routes());
    routes.extend(webhooks::routes());
    routes.extend(publish::routes());
    routes.extend(hooks::routes());
    routes.extend(nodes::routes());
    routes.extend(projects::routes());
    routes.extend(tokens::routes());
    routes.extend(audit::routes());
    if !app.has_metrics_apart {
        routes.extend(metrics::routes());
    }
    routes
}

/// The routes of the listener for metrics alone: they need no token.
pub(crate) fn routes_apart() -> Vec<Route> {
    let mut routes = health::routes();
    routes.retain(|route| route.path != "/openapi.json");
    routes.extend(metrics::routes_apart());
    routes
}

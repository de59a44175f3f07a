//! The routes of the API, a file for each kind of thing.

mod audit;
mod events;
mod executions;
mod graph;
mod health;
mod live;
mod metrics;
mod nodes;
mod page;
mod pages;
mod schedules;
mod session;
mod start;
mod tokens;
mod workflows;

use crate::route::Route;

/// All routes.
pub(crate) fn routes() -> Vec<Route> {
    let mut routes = page::routes();
    routes.extend(session::routes());
    routes.extend(health::routes());
    routes.extend(workflows::routes());
    routes.extend(executions::routes());
    routes.extend(events::routes());
    routes.extend(graph::routes());
    routes.extend(schedules::routes());
    routes.extend(nodes::routes());
    routes.extend(tokens::routes());
    routes.extend(audit::routes());
    routes.extend(metrics::routes());
    routes
}

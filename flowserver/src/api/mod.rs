//! The routes of the API, a file for each kind of thing.

mod audit;
mod events;
mod executions;
mod health;
mod nodes;
mod pages;
mod schedules;
mod start;
mod tokens;
mod workflows;

use crate::route::Route;

/// All routes.
pub(crate) fn routes() -> Vec<Route> {
    let mut routes = health::routes();
    routes.extend(workflows::routes());
    routes.extend(executions::routes());
    routes.extend(events::routes());
    routes.extend(schedules::routes());
    routes.extend(nodes::routes());
    routes.extend(tokens::routes());
    routes.extend(audit::routes());
    routes
}

//! Numbers of the settings.

use super::super::{Diagnostic, Diagnostics, MAX_RATE, OnError, RateLimitSpec, Workflow};
use super::at_least_one;

pub(super) fn check(workflow: &Workflow, diagnostics: &mut Diagnostics) {
    let settings = &workflow.settings;
    let rounds = match settings.on_error {
        OnError::RetryWorkflow { max_attempts } => Some(max_attempts.into()),
        OnError::StopWorkflow | OnError::ContinueOnError => None,
    };
    let numbers = [
        ("max_parallel_nodes", settings.max_parallel_nodes.map(Into::into)),
        ("max_execution_time_ms", settings.max_execution_time_ms),
        ("on_error/RetryWorkflow/max_attempts", rounds),
        ("concurrency/limit", settings.concurrency.as_ref().map(|most| most.limit.into())),
    ];
    for (key, number) in numbers {
        at_least_one(number, "settings.out_of_range", || format!("/settings/{key}"), diagnostics);
    }
    for (index, rate) in settings.rate_limits.iter().enumerate() {
        check_rate_limit(rate, &format!("/settings/rate_limits/{index}"), diagnostics);
    }
}

fn check_rate_limit(rate: &RateLimitSpec, at: &str, diagnostics: &mut Diagnostics) {
    at_least_one(
        Some(rate.per_ms),
        "settings.out_of_range",
        || format!("{at}/per_ms"),
        diagnostics,
    );
    let limit = || format!("{at}/limit");
    at_least_one(Some(rate.limit.into()), "settings.out_of_range", limit, diagnostics);
    if rate.limit > MAX_RATE {
        let message = format!("`limit` is {}", rate.limit);
        let problem = Diagnostic::error("settings.out_of_range", limit(), message);
        diagnostics.push(problem.expected(format!("at most {MAX_RATE}")));
    }
    let problem = match (&rate.node_type, &rate.resource) {
        (None, None) => {
            Some((at.to_owned(), "settings.missing_key", "does not say what it limits"))
        }
        (Some(_), Some(_)) => {
            Some((format!("{at}/resource"), "settings.bad_value", "has a node type and a resource"))
        }
        (Some(_), None) if !rate.nodes.is_empty() => {
            Some((format!("{at}/nodes"), "settings.bad_value", "has a node type and names nodes"))
        }
        (None, Some(_)) if rate.nodes.is_empty() => {
            Some((at.to_owned(), "settings.missing_key", "has no `nodes` that use the resource"))
        }
        (Some(_), None) | (None, Some(_)) => None,
    };
    if let Some((pointer, code, what)) = problem {
        let problem = Diagnostic::error(code, pointer, format!("the rate limit {what}"));
        diagnostics.push(problem.expected("`node_type`, or `resource` with `nodes`"));
    }
}

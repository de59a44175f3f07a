//! Numbers of the settings.

use super::super::{Diagnostics, OnError, Workflow};
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
}

//! Everything that can be said about a workflow file without running it.

use super::place::place;
use super::reader::{MAX_PROBLEMS, read_unplaced, too_many_problems};
use super::{Diagnostic, Diagnostics, Limits, Severity, Source, Workflow};
use crate::node::NodeRegistry;
use crate::plan::{SharedPlan, WorkflowSource, compile_with};

/// A workflow file after all checks.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Checked {
    /// The workflow as far as it could be read; `None` when the text could not be read at all.
    pub workflow: Option<Workflow>,
    /// The compiled workflow; `None` when there are errors.
    pub plan: Option<SharedPlan>,
    /// Every problem, each with its place, in the order of the text.
    pub diagnostics: Diagnostics,
}

impl Checked {
    /// Whether the workflow can run.
    pub fn is_ok(&self) -> bool {
        !self.diagnostics.has_errors()
    }
}

/// Checks a workflow file whole: keys, types, values, node types, configs, connections and
/// expressions. At most 1,000 problems are listed.
pub fn check(source: &Source, registry: &NodeRegistry) -> Checked {
    check_within(source, registry, &Limits::default())
}

/// As [`check`], with other limits.
pub fn check_within(source: &Source, registry: &NodeRegistry, limits: &Limits) -> Checked {
    check_with(source, registry, limits, None)
}

/// As [`check_within`], with the workflows that this one may call.
pub fn check_with(
    source: &Source,
    registry: &NodeRegistry,
    limits: &Limits,
    workflows: Option<&dyn WorkflowSource>,
) -> Checked {
    let (workflow, mut diagnostics, unread) = read_unplaced(source);
    let mut plan = None;
    if let Some(workflow) = workflow.as_ref().filter(|_| !unread.more) {
        let compiled = compile_with(workflow, registry, limits, workflows);
        let mut found = compiled.diagnostics;
        let had_errors = found.has_errors();
        let left_out = found.truncate(MAX_PROBLEMS);
        diagnostics.extend(found.into_iter().filter(|d| !unread.covers(&d.pointer)));
        if left_out > 0 {
            let severity = if had_errors { Severity::Error } else { Severity::Warning };
            diagnostics.push(Diagnostic { severity, ..too_many_problems(left_out) });
        }
        plan = compiled.plan.filter(|_| !diagnostics.has_errors());
    }
    place(source, &mut diagnostics);
    Checked { workflow, plan, diagnostics }
}

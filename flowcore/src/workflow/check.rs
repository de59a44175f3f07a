//! Everything that can be said about a workflow file without running it.

use super::place::place;
use super::reader::read_unplaced;
use super::{Diagnostics, Source, Workflow};
use crate::node::NodeRegistry;
use crate::plan::{SharedPlan, compile};

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

/// Checks a workflow file whole: keys, types, values, node types and configs.
pub fn check(source: &Source, registry: &NodeRegistry) -> Checked {
    let (workflow, mut diagnostics) = read_unplaced(source);
    let mut plan = None;
    if let Some(workflow) = &workflow {
        let compiled = compile(workflow, registry);
        diagnostics.extend(compiled.diagnostics);
        plan = compiled.plan.filter(|_| !diagnostics.has_errors());
    }
    place(source, &mut diagnostics);
    Checked { workflow, plan, diagnostics }
}

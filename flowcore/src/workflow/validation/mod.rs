//! What a workflow means, as far as that needs neither a plan nor an execution.

mod config;
mod inputs;
mod limits;
mod listeners;
mod nodes;
mod settings;
mod triggers;

pub(crate) use config::check_config;
pub(crate) use inputs::check_schema;
pub use limits::Limits;

use super::{Diagnostic, Diagnostics, Workflow};

/// Checks ids, numbers, triggers and inputs. Gives false when the workflow is too large to be looked
/// at further.
pub(crate) fn check_definition(
    workflow: &Workflow,
    limits: &Limits,
    diagnostics: &mut Diagnostics,
) -> bool {
    if !limits::check(workflow, limits, diagnostics) {
        return false;
    }
    if let Some(when) = &workflow.when {
        let (whose, code) = ("the workflow", "workflow.wrong_type");
        nodes::check_when(when, whose, code, "/when".to_owned(), diagnostics);
    }
    inputs::check(workflow, diagnostics);
    nodes::check(workflow, diagnostics);
    triggers::check(workflow, diagnostics);
    settings::check(workflow, diagnostics);
    true
}

/// Suggestions cost a comparison with every candidate; a workflow with this many problems has other
/// worries.
const MAX_SUGGESTIONS: usize = 1_000;

/// Reports a number that may not be zero.
fn at_least_one(
    number: Option<u64>,
    code: &'static str,
    pointer: impl FnOnce() -> String,
    diagnostics: &mut Diagnostics,
) {
    if number == Some(0) {
        let pointer = pointer();
        let key = pointer.rsplit('/').next().unwrap_or_default();
        let message = format!("`{key}` is 0");
        diagnostics.push(Diagnostic::error(code, pointer, message).expected("at least 1"));
    }
}

#[cfg(test)]
mod tests;

//! Features that have their place in the file already and are not built yet: refused, because
//! ignoring them would be worse.

use super::super::{Diagnostic, Diagnostics, Workflow};

pub(super) fn check(workflow: &Workflow, diagnostics: &mut Diagnostics) {
    let settings = &workflow.settings;
    let of_workflow = [
        ("/when", workflow.when.is_some(), "`when` of a workflow"),
        ("/settings/concurrency", settings.concurrency.is_some(), "`concurrency`"),
        ("/settings/rate_limits", settings.rate_limits.is_some(), "`rate_limits`"),
        ("/settings/record_changes", settings.record_changes, "`record_changes`"),
    ];
    for (pointer, _, what) in of_workflow.into_iter().filter(|(_, is_used, _)| *is_used) {
        report(pointer.to_owned(), what, diagnostics);
    }
    for (index, node) in workflow.nodes.iter().enumerate() {
        if node.cache.is_some() {
            report(format!("/nodes/{index}/cache"), "`cache`", diagnostics);
        }
    }
}

fn report(pointer: String, what: &str, diagnostics: &mut Diagnostics) {
    let message = format!("{what} is planned and not part of this version");
    diagnostics.push(Diagnostic::error("feature.planned", pointer, message).at_key());
}

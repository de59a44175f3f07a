//! Features that have their place in the file already and are not built yet: refused, because
//! ignoring them would be worse.

use super::super::{Diagnostic, Diagnostics, Workflow};

pub(super) fn check(workflow: &Workflow, diagnostics: &mut Diagnostics) {
    let nodes = workflow.nodes.iter().enumerate();
    for (index, _) in nodes.filter(|(_, node)| node.undo.is_some()) {
        let message = "`undo` is planned and not part of this version";
        let pointer = format!("/nodes/{index}/undo");
        diagnostics.push(Diagnostic::error("feature.planned", pointer, message).at_key());
    }
}

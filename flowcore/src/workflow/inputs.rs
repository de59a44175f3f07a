//! The inputs of an execution, checked against what the workflow declares.

use std::sync::Arc;

use super::{Diagnostic, Diagnostics, InputSpec, Workflow};
use crate::value::{Object, Value, escape_pointer};

/// Checks inputs against what the workflow declares, and fills in defaults.
///
/// A workflow that declares no `inputs` takes any. Otherwise an input without a default must be
/// given, unless its type allows null, and one that is not declared is an error.
///
/// # Errors
/// Every problem; pointers start at the inputs.
pub fn resolve_inputs(workflow: &Workflow, given: Object) -> Result<Object, Diagnostics> {
    let Some(declared) = &workflow.inputs else { return Ok(given) };
    let mut problems = Diagnostics::new();
    for name in given.keys().filter(|name| !declared.contains_key(&***name)) {
        let message = format!("the workflow has no input `{name}`");
        problems.push(
            Diagnostic::error("input.undeclared", format!("/{}", escape_pointer(name)), message)
                .suggest(name, declared.keys().map(String::as_str)),
        );
    }
    let mut entries: Vec<(Arc<str>, Value)> = Vec::with_capacity(declared.len());
    for (name, spec) in declared {
        match given.get(name).or_else(|| spec.default_value()) {
            Some(value) => entries.push((Arc::from(name.as_str()), value.clone())),
            None if spec.allows_null() => {
                entries.push((Arc::from(name.as_str()), Value::Null));
            }
            None => problems.push(
                Diagnostic::error("input.not_given", "", format!("input `{name}` is not given"))
                    .hint("give it, or declare a `default`"),
            ),
        }
    }
    if problems.has_errors() {
        return Err(problems);
    }
    Ok(Object::from_entries(entries).expect("each was in an object already"))
}

impl InputSpec {
    /// Whether the schema says that null is a value of this input.
    fn allows_null(&self) -> bool {
        let is_null = |value: &Value| value.as_str() == Some("null");
        self.schema.get("type").is_some_and(|kind| {
            is_null(kind) || kind.as_array().is_some_and(|kinds| kinds.iter().any(is_null))
        })
    }
}

//! Everything that can be said about a workflow file without running it.

use super::place::place;
use super::reader::{MAX_PROBLEMS, read_unplaced, too_many_problems};
use super::{Diagnostic, Diagnostics, Limits, Severity, Source, Workflow};
use crate::node::{NodeRegistry, Secrets};
use crate::plan::{Context, SharedPlan, WorkflowSource, compile_in};

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
    check_in(source, &Context { registry, limits, source: workflows, secrets: None })
}

/// As [`check_with`], with the secrets that there are: one that an expression names and that is none
/// of them is warned of. It keeps nothing from running, as it may come until then.
pub fn check_with_secrets(
    source: &Source,
    registry: &NodeRegistry,
    limits: &Limits,
    workflows: Option<&dyn WorkflowSource>,
    secrets: &Secrets,
) -> Checked {
    check_in(source, &Context { registry, limits, source: workflows, secrets: Some(secrets) })
}

fn check_in(source: &Source, context: &Context<'_>) -> Checked {
    let (workflow, mut diagnostics, unread) = read_unplaced(source);
    let mut plan = None;
    if let Some(workflow) = workflow.as_ref().filter(|_| !unread.more) {
        let compiled = compile_in(workflow, context);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::{NodeDescriptor, NodeOutput};

    #[test]
    fn s49_a_secret_that_is_not_there_is_warned_of_wherever_it_is_named() {
        let mut registry = NodeRegistry::new();
        let descriptor = NodeDescriptor::new("say");
        registry.register_function(descriptor, |_| Ok(NodeOutput::new()));
        let text = r#"{
            "when": "secrets.a1 == 'x'",
            "nodes": [
                { "id": "a", "node_type": "say", "when": "secrets.a2 == 'x'" },
                { "id": "b", "node_type": "say", "when": { "==": [{ "var": "secrets.a3" }, "x"] } },
                { "id": "c", "node_type": "control.if", "config": { "condition": "secrets.a4 == 'x'" } },
                { "id": "d", "node_type": "say", "when": "secrets.known == 'x'" }
            ],
            "outputs": { "x": "{{ [secrets.known, secrets.a5] }}" }
        }"#;
        let secrets = Secrets::new([("known".to_owned(), "x".into())]);
        let source = Source::json("test", text);
        let limits = Limits::default();
        let checked = check_with_secrets(&source, &registry, &limits, None, &secrets);
        assert!(checked.plan.is_some(), "{}", checked.diagnostics);
        let found = checked.diagnostics.iter().map(|problem| {
            assert_eq!((problem.code, problem.is_error()), ("secret.unknown", false));
            let name = problem.message.split('`').nth(1).unwrap().to_owned();
            (name, problem.pointer.clone())
        });
        let mut found: Vec<_> = found.collect();
        found.sort();
        let expected = [
            ("a1", "/when"),
            ("a2", "/nodes/0/when"),
            ("a3", "/nodes/1/when/==/0/var"),
            ("a4", "/nodes/2/config/condition"),
            ("a5", "/outputs/x"),
        ];
        let expected = expected.map(|(name, pointer)| (name.to_owned(), pointer.to_owned()));
        assert_eq!(found, expected);
        // Who does not know which there are warns of none.
        assert!(check(&source, &registry).diagnostics.is_empty());
    }
}

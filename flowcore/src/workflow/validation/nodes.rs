//! Ids and numbers of nodes.

use std::collections::HashMap;

use super::super::{Diagnostic, Diagnostics, NodeSpec, OnError, RetryPolicy, Workflow};
use super::at_least_one;
use crate::id::check_id;
use crate::value::Value;

pub(super) fn check(workflow: &Workflow, diagnostics: &mut Diagnostics) {
    if workflow.nodes.is_empty() {
        let problem = Diagnostic::error("workflow.no_nodes", "/nodes", "the workflow has no nodes");
        diagnostics.push(problem);
    }
    let mut first_with: HashMap<&str, usize> = HashMap::with_capacity(workflow.nodes.len());
    for (index, node) in workflow.nodes.iter().enumerate() {
        let id = node.id.as_str();
        match check_id(id) {
            Err(error) => diagnostics.push(
                Diagnostic::error("node.bad_id", format!("/nodes/{index}/id"), error.to_string())
                    .expected("1 to 128 letters, digits, `_` and `-`"),
            ),
            Ok(()) => {
                let first = *first_with.entry(id).or_insert(index);
                if first != index {
                    report_duplicate(id, first, index, diagnostics);
                }
            }
        }
        check_node(index, node, diagnostics);
    }
}

fn report_duplicate(id: &str, first: usize, index: usize, diagnostics: &mut Diagnostics) {
    let message = format!("two nodes have the id `{id}`; the first is /nodes/{first}");
    let pointer = format!("/nodes/{index}/id");
    diagnostics.push(Diagnostic::error("node.duplicate_id", pointer, message));
}

fn check_node(index: usize, node: &NodeSpec, diagnostics: &mut Diagnostics) {
    let at = |key: &str| format!("/nodes/{index}/{key}");
    if node.node_type.is_empty() {
        let message = format!("`node_type` of node `{}` is empty", node.id);
        let problem = Diagnostic::error("node.bad_value", at("node_type"), message);
        diagnostics.push(problem.expected("a node type, such as `http.request`"));
    }
    if let Some(when) = &node.when {
        check_when(
            when,
            &format!("node `{}`", node.id),
            "node.wrong_type",
            at("when"),
            diagnostics,
        );
    }
    at_least_one(node.timeout_ms, "node.out_of_range", || at("timeout_ms"), diagnostics);
    let ttl = node.cache.as_deref().map(|cache| cache.ttl_ms);
    at_least_one(ttl, "node.out_of_range", || at("cache/ttl_ms"), diagnostics);
    if let Some(OnError::RetryWorkflow { max_attempts }) = node.on_error {
        let pointer = || at("on_error/RetryWorkflow/max_attempts");
        at_least_one(Some(max_attempts.into()), "node.out_of_range", pointer, diagnostics);
    }
    if let Some(policy) = &node.retry_policy {
        check_retry_policy(policy, &|key| at(&format!("retry_policy/{key}")), diagnostics);
    }
}

/// Texts are expressions, objects are JSONLogic.
pub(super) fn check_when(
    when: &Value,
    whose: &str,
    code: &'static str,
    pointer: String,
    diagnostics: &mut Diagnostics,
) {
    if matches!(when, Value::String(_) | Value::Object(_)) {
        return;
    }
    let message = format!("`when` of {whose} is {}", when.kind());
    diagnostics.push(
        Diagnostic::error(code, pointer, message)
            .expected("an expression, such as `\"inputs.limit > 0\"`, or a rule in JSONLogic"),
    );
}

fn check_retry_policy(
    policy: &RetryPolicy,
    at: &dyn Fn(&str) -> String,
    diagnostics: &mut Diagnostics,
) {
    const CODE: &str = "node.out_of_range";
    let attempts = Some(policy.max_attempts.into());
    at_least_one(attempts, CODE, || at("max_attempts"), diagnostics);
    at_least_one(policy.max_elapsed_ms, CODE, || at("max_elapsed_ms"), diagnostics);
    let multiplier = policy.backoff_multiplier;
    if !multiplier.is_finite() || multiplier < 1.0 {
        let message = format!("`backoff_multiplier` is {multiplier}");
        let problem = Diagnostic::error(CODE, at("backoff_multiplier"), message);
        diagnostics.push(problem.expected("at least 1"));
    }
    if policy.delay_ms > policy.max_delay_ms {
        let (delay, most) = (policy.delay_ms, policy.max_delay_ms);
        let message = format!("the wait of {delay} ms is cut to `max_delay_ms`, {most} ms");
        let warning = Diagnostic::warning("node.delay_cut", at("delay_ms"), message);
        diagnostics.push(warning.hint("set `max_delay_ms` as well"));
    }
}

//! How an execution ended, for people.

use annotate_snippets::renderer::DEFAULT_ERROR_STYLE;
use anstyle::{AnsiColor, Style};
use flowcore::{
    ExecutionError, ExecutionResult, ExecutionStatus, NodeIndex, NodeResult, NodeStatus, Plan,
};

use super::human::{BOLD, DIM, clean, count, failure, help, note, paint, warning};
use super::progress::Watch;
use crate::duration;

const GREEN: Style = AnsiColor::Green.on_default();

/// The most failed nodes that are listed one by one.
const MOST_LISTED: usize = 20;

/// Why an execution did not succeed: the node, its code, message and attempts, and the last lines
/// that it wrote.
pub(crate) fn error(
    error: &ExecutionError,
    result: &ExecutionResult,
    plan: &Plan,
    watch: &Watch,
) -> String {
    let node = error.node.as_deref().and_then(|id| result.node(id));
    let message = match &error.node {
        Some(node) => format!("node `{node}` failed: {}", error.message),
        None => error.message.clone(),
    };
    let mut text = failure(Some(&error.code), &message, None);
    if let Some(node) = &node {
        text.push_str(&format!("\n{}", note(&about(node, plan))));
        let tail = watch.tail(node.id.as_str());
        if !tail.is_empty() {
            text.push_str(&format!("\n{}", note("the last lines that it wrote:")));
            tail.iter().for_each(|line| text.push_str(&format!("\n      {}", paint(DIM, line))));
        }
    }
    if let Some(hint) = &error.hint {
        text.push_str(&format!("\n{}", help(hint)));
    }
    text
}

fn about(node: &NodeResult<'_>, plan: &Plan) -> String {
    let spec = plan.workflow().nodes.iter().find(|spec| spec.id == *node.id);
    let node_type = spec.map_or("", |spec| &*spec.node_type);
    let took = node.duration.map(|took| format!(" in {}", duration::show(took)));
    let attempts = count(node.attempts as usize, "attempt");
    format!("node type {node_type}, {attempts}{}", took.unwrap_or_default())
}

/// Failures that the execution went on without: warnings, or errors where they are not to be
/// tolerated.
pub(crate) fn tolerated(result: &ExecutionResult, watch: &Watch, strict: bool) -> Vec<String> {
    let failed = watch.tolerated_failures();
    let line = |&index: &usize| {
        let node = result.node_by_index(NodeIndex::try_from(index).ok()?);
        let error = node.error?;
        let message = format!("node `{}` failed: {error}", node.id);
        Some(if strict {
            failure(Some(error.code()), &message, error.hint())
        } else {
            warning(&format!("{message} [{}]", error.code()))
        })
    };
    let listed = failed.iter().take(MOST_LISTED).filter_map(line);
    let more = failed.len().saturating_sub(MOST_LISTED);
    let more = (more > 0).then(|| warning(&format!("{} failed too", count(more, "other node"))));
    listed.chain(more).collect()
}

/// One line about the whole.
pub(crate) fn summary(name: &str, result: &ExecutionResult) -> String {
    let (style, word) = match result.status {
        ExecutionStatus::Succeeded => (GREEN, "succeeded"),
        ExecutionStatus::Cancelled => (DEFAULT_ERROR_STYLE, "cancelled"),
        ExecutionStatus::TimedOut => (DEFAULT_ERROR_STYLE, "timed out"),
        ExecutionStatus::Failed
        | ExecutionStatus::Queued
        | ExecutionStatus::Running
        | ExecutionStatus::Waiting
        | ExecutionStatus::Paused => (DEFAULT_ERROR_STYLE, "failed"),
    };
    let took = duration::show(result.duration());
    let (name, word) = (paint(BOLD, &clean(name)), paint(style, word));
    format!("{name}: {word} in {took}{}", nodes(result))
}

/// How many nodes became what: `, 3 nodes succeeded, 1 skipped`.
fn nodes(result: &ExecutionResult) -> String {
    let words = [
        (NodeStatus::Succeeded, "succeeded"),
        (NodeStatus::Failed, "failed"),
        (NodeStatus::Cancelled, "cancelled"),
        (NodeStatus::Skipped, "skipped"),
        (NodeStatus::Pending, "not started"),
    ];
    let counted = words
        .map(|(status, word)| (result.nodes().filter(|node| node.status == status).count(), word));
    let mut text = String::new();
    for (number, word) in counted.into_iter().filter(|(number, _)| *number > 0) {
        let number = if text.is_empty() { count(number, "node") } else { number.to_string() };
        text.push_str(&format!(", {number} {word}"));
    }
    text
}

//! How an execution ended, for people.

use annotate_snippets::renderer::DEFAULT_ERROR_STYLE;
use anstyle::{AnsiColor, Style};
use flowcore::{
    ExecutionError, ExecutionResult, ExecutionStatus, NodeIndex, NodeStatus, NotUndone, Plan,
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
    let message = match &error.node {
        Some(node) => format!("node `{node}` failed: {}", error.message),
        None => error.message.clone(),
    };
    let mut text = failure(Some(&error.code), &message, None);
    if let Some((what, tail)) = error.node.as_deref().and_then(|id| about(id, result, plan, watch))
    {
        text.push_str(&format!("\n{}", note(&what)));
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

/// What a failed node is, and the last lines that it wrote. Inside of a control node only the watch
/// has seen it.
fn about(
    address: &str,
    result: &ExecutionResult,
    plan: &Plan,
    watch: &Watch,
) -> Option<(String, Vec<String>)> {
    let (spec, attempts, took, tail) = match result.node(address) {
        Some(node) => {
            let spec = plan.workflow().nodes.iter().find(|spec| spec.id == *node.id)?;
            (spec, node.attempts, node.duration, watch.tail(address))
        }
        None => {
            let failure = watch.failure(address)?;
            (plan.spec(failure.node), failure.attempts, Some(failure.took), failure.tail)
        }
    };
    let took = took.map(|took| format!(" in {}", duration::show(took))).unwrap_or_default();
    let attempts = count(attempts as usize, "attempt");
    Some((format!("node type {}, {attempts}{took}", spec.node_type), tail))
}

/// Failures that the execution went on without: warnings, or errors where they are not to be
/// tolerated.
pub(crate) fn tolerated(result: &ExecutionResult, watch: &Watch, strict: bool) -> Vec<String> {
    let failed = watch.tolerated_failures();
    let (inside_count, inside) = watch.tolerated_inside();
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
    let inside = inside.iter().map(|(address, reason)| {
        let message = format!("node `{address}` failed: {reason}");
        if strict { failure(None, &message, None) } else { warning(&message) }
    });
    let listed: Vec<String> =
        failed.iter().filter_map(line).chain(inside).take(MOST_LISTED).collect();
    let more = (failed.len() + inside_count).saturating_sub(listed.len());
    let more = (more > 0).then(|| warning(&format!("{} failed too", count(more, "other node"))));
    listed.into_iter().chain(more).collect()
}

/// What was to be undone and was not, or perhaps was not.
pub(crate) fn not_undone(result: &ExecutionResult) -> Vec<String> {
    let line = |left: &NotUndone| {
        let round =
            if result.rounds > 1 { format!(" (round {})", left.round) } else { String::new() };
        let unknown = if left.outcome_unknown { "; what became of it is not known" } else { "" };
        warning(&format!("{left}{unknown}{round} [{}]", left.code))
    };
    let listed = result.not_undone.iter().take(MOST_LISTED).map(line);
    let more = result.not_undone.len().saturating_sub(MOST_LISTED);
    let more =
        (more > 0).then(|| warning(&format!("{} not undone, too", count(more, "other node"))));
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

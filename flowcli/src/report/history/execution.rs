//! An execution that is kept, for people.

use flowcore::{ExecutionStatus, Value};
use flowruntime::history::{ExecutionReport, Paused};
use flowruntime::store::ExecutionRow;

use super::node::one_line;
use crate::report::human::{BOLD, clean, count, paint};
use crate::{duration, moment};

/// The cells of an execution in a table.
pub(crate) fn cells(row: &ExecutionRow) -> [String; 6] {
    let took = row.started_at.zip(row.ended_at).map(|(from, to)| duration::show(to.since(from)));
    let note = match (&row.error, row.owner) {
        (Some(error), _) => format!("{}: {error}", error.code),
        (None, None) if is_abandoned(row) => "nobody executes it".to_owned(),
        (None, _) => String::new(),
    };
    [
        row.id.to_string(),
        clean(row.workflow_id.as_str()),
        row.status.to_string(),
        moment::show(row.created_at),
        took.unwrap_or_default(),
        clean(&note),
    ]
}

/// Whether nobody executes it, and somebody should. One that waits or is paused is in nobody's memory.
pub(crate) fn is_abandoned(row: &ExecutionRow) -> bool {
    let runs = matches!(row.status, ExecutionStatus::Queued | ExecutionStatus::Running);
    runs && row.owner.is_none()
}

/// How many lines of a dump are shown unless all is asked for.
const DUMP_LINES: usize = 8;

/// What the execution is, before the chart.
pub(crate) fn head(report: &ExecutionReport, width: usize) -> Vec<String> {
    let ExecutionReport { row, inputs, result, timeline, .. } = report;
    let title = format!("{} {}", paint(BOLD, &row.id.to_string()), row.status);
    let nobody = if is_abandoned(row) { ", nobody executes it" } else { "" };
    let mut lines = vec![format!("{title}{nobody}")];
    let mut say = |name: &str, text: String| lines.push(format!("  {name:<9} {text}"));
    say("workflow", clean(row.workflow_id.as_str()));
    say("accepted", moment::show(row.created_at));
    if let Some(at) = row.started_at {
        let took = row.ended_at.map(|end| format!(", took {}", duration::show(end.since(at))));
        say("started", format!("{}{}", moment::show(at), took.unwrap_or_default()));
    }
    if let Some(at) = row.wake_at.filter(|_| !row.status.is_terminal()) {
        say("wakes", moment::show(at));
    }
    if let Some(of) = row.rerun_of {
        say("again", format!("runs {of} again"));
    }
    let owners = match row.fence {
        0 | 1 => String::new(),
        fence => format!(", executed by {fence} processes in turn"),
    };
    let events = count(usize::try_from(row.last_seq).unwrap_or(usize::MAX), "event");
    let rounds = match timeline.rounds {
        1 => String::new(),
        rounds => format!(", {rounds} rounds"),
    };
    say("history", format!("{events}{rounds}{owners}"));
    if !inputs.is_empty() {
        say("inputs", one_line(&Value::from(inputs.clone()), width.saturating_sub(12)));
    }
    if result.is_success() {
        say("outputs", one_line(&result.outputs, width.saturating_sub(12)));
    }
    if let Some(error) = result.error.as_ref().or(row.error.as_ref()) {
        say("error", clean(&format!("{error} [{}]", error.code)));
        if let Some(hint) = &error.hint {
            say("help", clean(hint));
        }
    }
    if let Some(Paused { reason, code, node, dump }) = &timeline.paused {
        let node = node.as_ref().map_or_else(String::new, |node| format!(", node `{node}`"));
        let code = code.map_or_else(String::new, |code| format!(" [{code}]"));
        say("paused", clean(&format!("{}{node}{code}", reason.as_str())));
        let shown = if report.is_full { usize::MAX } else { DUMP_LINES };
        let mut rest = dump.as_deref().unwrap_or_default().lines();
        rest.by_ref().take(shown).for_each(|line| say("", clean(line)));
        match rest.count() {
            0 => {}
            more => say("", format!("… {}: `--full` shows them", count(more, "more line"))),
        }
    }
    for warning in &result.warnings {
        say("warning", clean(warning));
    }
    for left in &result.not_undone {
        say("undo", clean(&format!("{left} [{}]", left.code)));
    }
    lines
}

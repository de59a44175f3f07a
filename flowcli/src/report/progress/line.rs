//! What happens, a line for each.

use std::time::Instant;

use annotate_snippets::renderer::{DEFAULT_ERROR_STYLE, DEFAULT_WARNING_STYLE};
use anstyle::{AnsiColor, Style};
use flowcore::{Event, NodeStatus, PauseReason};

use super::inside::Counter;
use super::state::{Row, State, Waits, cut};
use crate::duration;
use crate::report::human::{BOLD, DIM, count, paint, warning};

const GREEN: Style = AnsiColor::Green.on_default();

/// What happened to a node.
pub(super) fn status(row: &Row, event: &Event) -> Option<String> {
    let text = match row.status {
        NodeStatus::Running => match row.attempt {
            1 => "started".to_owned(),
            attempt => format!("started again, attempt {attempt} of {}", row.most_attempts),
        },
        NodeStatus::Succeeded if matches!(event, Event::StopRequested { .. }) => row.note.clone(),
        NodeStatus::Succeeded => {
            let note = if row.note.is_empty() { String::new() } else { format!(", {}", row.note) };
            format!("{}{}{}{note}", paint(GREEN, "succeeded"), took(row), total(row))
        }
        NodeStatus::Failed => {
            format!("{}{}: {}", paint(DEFAULT_ERROR_STYLE, "failed"), took(row), row.note)
        }
        NodeStatus::Waiting if row.waits.is_some() => waits(row),
        NodeStatus::Waiting => {
            let failed = paint(DEFAULT_WARNING_STYLE, "failed");
            let (attempt, most) = (row.attempt, row.most_attempts);
            format!("attempt {attempt} of {most} {failed}: {}{}", row.note, again(row))
        }
        NodeStatus::Skipped => paint(DIM, &format!("skipped, {}", row.note)),
        NodeStatus::Cancelled => {
            format!("{} ({})", paint(DEFAULT_WARNING_STYLE, "cancelled"), row.note)
        }
        NodeStatus::Pending => return None,
    };
    let is_wait = matches!(event, Event::WaitEnded { .. });
    (!is_wait).then(|| with_id(row, &text))
}

fn with_id(row: &Row, text: &str) -> String {
    format!("{}: {text}", paint(BOLD, &row.id))
}

/// What a node waits for: `waits for signal paid`, `waits until 18:00`.
fn waits(row: &Row) -> String {
    let left = row.again_at.map(|at| at.saturating_duration_since(row.since));
    match (row.waits, left) {
        (Some(Waits::Somebody), None) => format!("waits for {}", row.note),
        (Some(Waits::Somebody), Some(left)) => {
            format!("waits for {}, {} at most", row.note, duration::show(left))
        }
        (_, Some(left)) if row.note.is_empty() => format!("waits {}", duration::show(left)),
        (_, _) => format!("waits {}", row.note),
    }
}

fn total(row: &Row) -> String {
    let total = row.counter.as_ref().map(Counter::total).unwrap_or_default();
    if total.is_empty() { total } else { format!(", {total}") }
}

fn took(row: &Row) -> String {
    row.took.map_or_else(String::new, |took| format!(" in {}", duration::show(took)))
}

fn again(row: &Row) -> String {
    let wait = row.again_at.map(|at| at.saturating_duration_since(row.since));
    wait.map_or_else(String::new, |wait| format!("; again in {}", duration::show(wait)))
}

/// What a node has to say.
pub(super) fn message(row: &Row, text: &str, is_warning: bool) -> String {
    let text = cut(text);
    let text = if is_warning { paint(DEFAULT_WARNING_STYLE, &text) } else { text };
    with_id(row, &text)
}

/// The workflow started again.
pub(super) fn round(round: u32) -> String {
    paint(BOLD, &format!("round {round}: the workflow starts again"))
}

/// Nothing starts any more, for now.
pub(super) fn paused(reason: PauseReason, node: Option<&str>, by: Option<&str>) -> String {
    let why = match (reason, node) {
        (PauseReason::Requested, _) => String::new(),
        (PauseReason::CrashLoop, Some(node)) => {
            format!(" after crash upon crash: look at node `{}`", cut(node))
        }
        (PauseReason::CrashLoop, None) => " after crash upon crash".to_owned(),
        (PauseReason::ImpossibleFact, _) => {
            " by a bug in Flow: `executions show` has more".to_owned()
        }
    };
    paint(DEFAULT_WARNING_STYLE, &format!("paused{}{why}", by_whom(by)))
}

/// It goes on after a pause.
pub(super) fn resumed(by: Option<&str>) -> String {
    paint(BOLD, &format!("resumed{}", by_whom(by)))
}

/// Another process executed it before.
pub(super) fn recovered(interrupted: u32) -> String {
    let cut_off = match interrupted {
        0 => String::new(),
        number => format!(", {} cut off", count(number as usize, "attempt")),
    };
    paint(BOLD, &format!("goes on here{cut_off}"))
}

fn by_whom(by: Option<&str>) -> String {
    by.map_or_else(String::new, |by| format!(" by {}", cut(by)))
}

/// Lines were lost before the next one.
pub(super) fn lost(lines: usize) -> String {
    let lines = count(lines, "line");
    paint(DEFAULT_WARNING_STYLE, &format!("{lines} lost here: more than the terminal takes"))
}

/// A node waits for what nobody here can give.
pub(super) fn how_to_give(
    command: Option<&str>,
    address: &str,
    name: &str,
    key: Option<&str>,
    is_approval: bool,
) -> String {
    let (what, value) = if is_approval { ("approval", "true") } else { ("signal", "JSON") };
    if let Some(command) = command {
        let key = key.map_or_else(String::new, |key| format!(" --key {key}"));
        return warning(&format!(
            "node `{address}` waits for {what} `{name}`: `{command} {name} {value}{key}` gives it"
        ));
    }
    let key = key.map_or_else(String::new, |key| format!(":{key}"));
    warning(&format!(
        "node `{address}` waits for {what} `{name}`, which is only given at the start, with \
         `--signal {name}{key}={value}`"
    ))
}

/// No more lines about what is inside of control nodes.
pub(super) fn enough_inside() -> String {
    paint(DIM, "more happens inside of control nodes than is shown; `--output ndjson` has it all")
}

/// Messages of a node were lost on their way, before the next one.
pub(super) fn missed(row: &Row, messages: u64) -> String {
    let messages = count(usize::try_from(messages).unwrap_or(usize::MAX), "message");
    let text = format!("{messages} lost here: it says more than can be taken");
    with_id(row, &paint(DEFAULT_WARNING_STYLE, &text))
}

/// How far a workflow is that has not been heard of for some time.
pub(super) fn still_running(state: &State) -> Option<String> {
    let is_busy = |row: &&Row| row.status == NodeStatus::Running || row.waits_for_somebody();
    let busy: Vec<&Row> = state.rows.iter().filter(is_busy).collect();
    let first = busy.first()?;
    let elapsed = duration::show(Instant::now().saturating_duration_since(first.since));
    let others = match busy.len() - 1 {
        0 => String::new(),
        others => format!(" and {}", count(others, "other")),
    };
    let progress = first.counter.as_ref().map(Counter::progress).unwrap_or_default();
    let progress = if progress.is_empty() { progress } else { format!(" ({progress})") };
    let (ended, all) = (state.ended_nodes(), state.rows.len());
    let does = if first.waits_for_somebody() {
        format!("waiting for {} for {elapsed}", first.note)
    } else {
        format!("running for {elapsed}{progress}")
    };
    Some(with_id(first, &format!("{does}{others}; {ended} of {all} done")))
}

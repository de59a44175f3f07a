//! What happens, a line for each.

use std::time::Instant;

use annotate_snippets::renderer::{DEFAULT_ERROR_STYLE, DEFAULT_WARNING_STYLE};
use anstyle::{AnsiColor, Style};
use flowcore::{Event, NodeStatus};

use super::state::{Row, State, cut};
use crate::duration;
use crate::report::human::{BOLD, DIM, count, paint};

const GREEN: Style = AnsiColor::Green.on_default();

/// What happened to a node.
pub(super) fn status(row: &Row, event: &Event) -> Option<String> {
    let text = match row.status {
        NodeStatus::Running => match row.attempt {
            1 => "started".to_owned(),
            attempt => format!("started again, attempt {attempt} of {}", row.most_attempts),
        },
        NodeStatus::Succeeded => format!("{}{}", paint(GREEN, "succeeded"), took(row)),
        NodeStatus::Failed => {
            format!("{}{}: {}", paint(DEFAULT_ERROR_STYLE, "failed"), took(row), row.note)
        }
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

/// Messages of a node were lost on their way, before the next one.
pub(super) fn missed(row: &Row, messages: u64) -> String {
    let messages = count(usize::try_from(messages).unwrap_or(usize::MAX), "message");
    let text = format!("{messages} lost here: it says more than can be taken");
    with_id(row, &paint(DEFAULT_WARNING_STYLE, &text))
}

/// The workflow started again.
pub(super) fn round(round: u32) -> String {
    paint(BOLD, &format!("round {round}: the workflow starts again"))
}

/// Lines were lost before the next one.
pub(super) fn lost(lines: usize) -> String {
    let lines = count(lines, "line");
    paint(DEFAULT_WARNING_STYLE, &format!("{lines} lost here: more than the terminal takes"))
}

/// How far a workflow is that has not been heard of for some time.
pub(super) fn still_running(state: &State) -> Option<String> {
    let running: Vec<&Row> =
        state.rows.iter().filter(|row| row.status == NodeStatus::Running).collect();
    let first = running.first()?;
    let elapsed = Instant::now().saturating_duration_since(first.since);
    let others = match running.len() - 1 {
        0 => String::new(),
        others => format!(" and {}", count(others, "other")),
    };
    let (ended, all) = (state.ended_nodes(), state.rows.len());
    let text = format!("running for {}{others}; {ended} of {all} done", duration::show(elapsed));
    Some(with_id(first, &text))
}

//! The picture of a running execution: never taller than the terminal.

use std::cmp::Reverse;
use std::time::Instant;

use annotate_snippets::renderer::{DEFAULT_ERROR_STYLE, DEFAULT_WARNING_STYLE};
use anstyle::{AnsiColor, Style};
use flowcore::{ExecutionStatus, NodeStatus};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::state::{Row, State};
use crate::duration;
use crate::report::human::{BOLD, DIM, paint};

const GREEN: Style = AnsiColor::Green.on_default();
const CYAN: Style = AnsiColor::Cyan.on_default();
const PLAIN: Style = Style::new();

const SPINNER: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
/// How long each sign of the spinner stands.
const SPIN_MILLIS: u128 = 80;

/// The most lines: a picture as tall as a large terminal would push everything else out of sight.
const MOST_LINES: usize = 40;
/// The widest column of ids.
const MOST_ID: usize = 32;

/// The size of the terminal.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    pub(super) columns: usize,
    pub(super) rows: usize,
}

/// Parts of a line with their styles.
type Line = Vec<(Style, String)>;

/// The lines of the picture.
pub(super) fn draw(state: &State, now: Instant, room: Room) -> Vec<String> {
    // The cursor stands on the line below.
    let most = room.rows.saturating_sub(1).clamp(1, MOST_LINES);
    let shown = choose(state, most.saturating_sub(1));
    let hidden = state.rows.len() - shown.len();
    let mut lines = vec![head(state, now)];
    let width = |index: &usize| state.rows[*index].id.width();
    let id_width = shown.iter().map(width).max().unwrap_or(0).min(MOST_ID);
    for (place, &index) in shown.iter().enumerate() {
        let is_last = place + 1 == shown.len() && hidden == 0;
        lines.push(node(&state.rows[index], now, state.started, id_width, is_last));
    }
    if hidden > 0 && lines.len() < most {
        lines.push(rest(state, &shown));
    }
    lines.into_iter().map(|line| fit(line, room.columns)).collect()
}

/// The nodes to show, in file order: all, or those that one wants to see most and room for a line
/// about the others.
fn choose(state: &State, most: usize) -> Vec<usize> {
    let mut chosen: Vec<usize> = (0..state.rows.len()).collect();
    if chosen.len() > most {
        let rank = |&index: &usize| {
            let row = &state.rows[index];
            match row.status {
                NodeStatus::Running => (0, 0),
                NodeStatus::Waiting => (1, 0),
                NodeStatus::Failed => (2, 0),
                NodeStatus::Succeeded | NodeStatus::Cancelled => (3, u64::MAX - row.end),
                NodeStatus::Pending => (4, 0),
                NodeStatus::Skipped => (5, u64::MAX - row.end),
            }
        };
        chosen.sort_by_key(rank);
        chosen.truncate(most.saturating_sub(1));
        chosen.sort_unstable();
    }
    chosen
}

fn head(state: &State, now: Instant) -> Line {
    let (mark, until) = match state.ended_as {
        Some((ExecutionStatus::Succeeded, at)) => ((GREEN, "✓"), at),
        Some((_, at)) => ((DEFAULT_ERROR_STYLE, "✗"), at),
        None => ((CYAN, spinner(now, state.started)), now),
    };
    let elapsed = duration::show(until.saturating_duration_since(state.started));
    let counts = format!("  {} of {} · {elapsed}", state.ended_nodes(), state.rows.len());
    let cancelling = state.cancelling && state.ended_as.is_none();
    let cancelling = if cancelling { " · cancelling" } else { "" };
    vec![
        (mark.0, format!("{} ", mark.1)),
        (BOLD, state.name.clone()),
        (DIM, counts),
        (DEFAULT_WARNING_STYLE, cancelling.to_owned()),
    ]
}

fn spinner(now: Instant, started: Instant) -> &'static str {
    let turns = now.saturating_duration_since(started).as_millis() / SPIN_MILLIS;
    let count = SPINNER.len() as u128;
    SPINNER[usize::try_from(turns % count).unwrap_or(0)]
}

fn node(row: &Row, now: Instant, started: Instant, id_width: usize, is_last: bool) -> Line {
    let (style, mark) = match row.status {
        NodeStatus::Pending => (DIM, "·"),
        NodeStatus::Running => (CYAN, spinner(now, started)),
        NodeStatus::Waiting => (DEFAULT_WARNING_STYLE, "↻"),
        NodeStatus::Succeeded => (GREEN, "✓"),
        NodeStatus::Failed => (DEFAULT_ERROR_STYLE, "✗"),
        NodeStatus::Skipped => (DIM, "○"),
        NodeStatus::Cancelled => (DEFAULT_WARNING_STYLE, "⊘"),
    };
    let gap = " ".repeat(id_width.saturating_sub(row.id.width()) + 2);
    let id_style = if row.status == NodeStatus::Running { BOLD } else { PLAIN };
    let branch = if is_last { "└─ " } else { "├─ " };
    let time = format!("{:>7}", time(row, now));
    vec![
        (DIM, branch.to_owned()),
        (style, format!("{mark} ")),
        (id_style, format!("{}{gap}", row.id)),
        (DIM, time),
        (DIM, details(row, now)),
    ]
}

fn time(row: &Row, now: Instant) -> String {
    match row.status {
        NodeStatus::Running => duration::show(now.saturating_duration_since(row.since)),
        NodeStatus::Succeeded | NodeStatus::Failed | NodeStatus::Waiting => {
            row.took.map(duration::show).unwrap_or_default()
        }
        NodeStatus::Pending | NodeStatus::Skipped | NodeStatus::Cancelled => String::new(),
    }
}

fn details(row: &Row, now: Instant) -> String {
    let attempt = (row.attempt > 1 || row.status == NodeStatus::Waiting)
        .then(|| format!("  attempt {} of {}", row.attempt, row.most_attempts));
    let again = row.again_at.filter(|_| row.status == NodeStatus::Waiting);
    let again = again.map(|at| at.saturating_duration_since(now));
    let again = again.map(|wait| format!("  again in {}", duration::show(wait)));
    let note = (!row.note.is_empty()).then(|| format!("  {}", row.note));
    [attempt, again, note].into_iter().flatten().collect()
}

/// How many nodes are not shown, by what they are.
fn rest(state: &State, shown: &[usize]) -> Line {
    let mut counts: Vec<(NodeStatus, usize)> = Vec::new();
    for (index, row) in state.rows.iter().enumerate() {
        if shown.binary_search(&index).is_err() {
            match counts.iter_mut().find(|(status, _)| *status == row.status) {
                Some((_, count)) => *count += 1,
                None => counts.push((row.status, 1)),
            }
        }
    }
    counts.sort_by_key(|(_, count)| Reverse(*count));
    let all: usize = counts.iter().map(|(_, count)| count).sum();
    let parts = counts
        .iter()
        .map(|(status, count)| format!("{count} {}", status.as_str().to_ascii_lowercase()));
    let parts = parts.collect::<Vec<_>>().join(", ");
    vec![(DIM, format!("└─ … {all} more: {parts}"))]
}

/// Cuts a line at the right side of the terminal: one that wraps could not be erased.
fn fit(line: Line, columns: usize) -> String {
    let whole: usize = line.iter().map(|(_, text)| text.width()).sum();
    let mut left = if whole > columns { columns.saturating_sub(1) } else { whole };
    let mut text = String::new();
    for (style, part) in line {
        let mut end = 0;
        for (at, c) in part.char_indices() {
            let width = c.width().unwrap_or(0);
            if width > left {
                left = 0;
                break;
            }
            left -= width;
            end = at + c.len_utf8();
        }
        text.push_str(&paint(style, &part[..end]));
    }
    if whole > columns {
        text.push('…');
    }
    text
}

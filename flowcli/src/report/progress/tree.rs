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
        NodeStatus::Waiting if row.waits.is_some() => (CYAN, "⋯"),
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
        NodeStatus::Waiting if row.waits.is_some() => {
            duration::show(now.saturating_duration_since(row.since))
        }
        NodeStatus::Succeeded | NodeStatus::Failed | NodeStatus::Waiting => {
            row.took.map(duration::show).unwrap_or_default()
        }
        NodeStatus::Pending | NodeStatus::Skipped | NodeStatus::Cancelled => String::new(),
    }
}

fn details(row: &Row, now: Instant) -> String {
    let is_retry = row.status == NodeStatus::Waiting && row.waits.is_none();
    let attempt = (row.attempt > 1 || is_retry)
        .then(|| format!("  attempt {} of {}", row.attempt, row.most_attempts));
    let again = row.again_at.filter(|_| row.status == NodeStatus::Waiting);
    let again = again.map(|at| duration::show(at.saturating_duration_since(now)));
    let again = again.map(|left| match is_retry {
        true => format!("  again in {left}"),
        false => format!("  {left} left"),
    });
    let counter = row.counter.as_ref().filter(|_| row.status != NodeStatus::Failed);
    let counter = counter.map(|counter| match row.status {
        NodeStatus::Succeeded => counter.total(),
        _ => counter.progress(),
    });
    let counter = counter.filter(|text| !text.is_empty()).map(|text| format!("  {text}"));
    let note = (!row.note.is_empty()).then(|| format!("  {}", row.note));
    // What it waits for matters more than for how long.
    let parts =
        if is_retry { [attempt, again, counter, note] } else { [attempt, counter, note, again] };
    parts.into_iter().flatten().collect()
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use anstream::adapter::strip_str;
    use flowcore::{NodeSpec, Workflow};

    use super::super::state::{Detail, Waits};
    use super::*;

    fn state(nodes: usize) -> State {
        let mut registry = flowcore::NodeRegistry::new();
        flownodes::register_all(&mut registry);
        let mut workflow = Workflow::new("Many");
        for index in 0..nodes {
            let node = NodeSpec::new(format!("n{index}"), "time.delay");
            workflow.add_node(node.config_value("delay_ms", 1));
        }
        let plan = flowcore::compile(&workflow, &registry).plan.unwrap();
        let detail = Detail { statuses: false, starts: false, messages: true, programs: false };
        State::new(&plan, detail, super::super::Givers::default())
    }

    fn picture(state: &State, columns: usize, rows: usize) -> Vec<String> {
        let now = state.started + Duration::from_millis(2_340);
        let lines = draw(state, now, Room { columns, rows });
        lines.iter().map(|line| strip_str(line).to_string().trim_end().to_owned()).collect()
    }

    #[test]
    fn every_status_has_a_line() {
        let mut state = state(6);
        let (started, second) = (state.started, Duration::from_secs(1));
        let statuses = [
            (NodeStatus::Succeeded, ""),
            (NodeStatus::Failed, "disk is full [shell.exit]"),
            (NodeStatus::Running, "line 7"),
            (NodeStatus::Waiting, "no answer"),
            (NodeStatus::Skipped, "its condition is false"),
        ];
        for (row, (status, note)) in state.rows.iter_mut().zip(statuses) {
            row.status = status;
            row.note = note.to_owned();
            row.since = started + second;
            row.took = Some(Duration::from_millis(230));
            row.attempt = 1;
            row.most_attempts = 3;
        }
        state.rows[3].again_at = Some(started + 3 * second);
        let expected = [
            "⠴ Many  3 of 6 · 2.3s",
            "├─ ✓ n0    230ms",
            "├─ ✗ n1    230ms  disk is full [shell.exit]",
            "├─ ⠴ n2     1.3s  line 7",
            "├─ ↻ n3    230ms  attempt 1 of 3  again in 660ms  no answer",
            "├─ ○ n4           its condition is false",
            "└─ ⋯ n5     1.3s  signal paid",
        ];
        state.rows[5].status = NodeStatus::Waiting;
        state.rows[5].waits = Some(Waits::Somebody);
        state.rows[5].note = "signal paid".to_owned();
        state.rows[5].since = started + second;
        let lines = picture(&state, 80, 24);
        let marks = |line: &str| line.replace(|c: char| SPINNER.contains(&&*c.to_string()), "⠴");
        let lines: Vec<String> = lines.iter().map(|line| marks(line)).collect();
        assert_eq!(lines, expected);
    }

    #[test]
    fn the_picture_fits_the_terminal() {
        let mut state = state(2000);
        for (index, row) in state.rows.iter_mut().enumerate().take(1500) {
            row.status = NodeStatus::Succeeded;
            row.end = index as u64;
        }
        for row in &mut state.rows[1500..1503] {
            row.status = NodeStatus::Running;
            row.note = "wide 漢字 ".repeat(40);
        }
        state.rows[700].status = NodeStatus::Failed;
        let lines = picture(&state, 30, 9);
        let ids: Vec<&str> =
            lines.iter().skip(1).filter_map(|line| line.split(' ').nth(2)).collect();
        assert_eq!(ids, ["n700", "n1498", "n1499", "n1500", "n1501", "n1502", "1994"]);
        assert!(lines.iter().all(|line| line.width() <= 30), "{lines:#?}");
        assert_eq!(picture(&state, 80, 9)[7], "└─ … 1994 more: 1497 succeeded, 497 pending");
        for rows in 1..60 {
            let lines = picture(&state, 80, rows).len();
            assert!(
                lines <= rows.saturating_sub(1).max(1) && lines <= MOST_LINES,
                "{lines} {rows}"
            );
        }
        assert_eq!(picture(&state, 1, 3).len(), 2);
    }
}

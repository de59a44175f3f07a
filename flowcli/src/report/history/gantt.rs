//! A chart of what happened when, in the width of the terminal.

use annotate_snippets::renderer::{DEFAULT_ERROR_STYLE, DEFAULT_WARNING_STYLE};
use anstyle::{AnsiColor, Style};
use flowcore::{NodeStatus, Timestamp};
use flowruntime::history::{SpanKind, Timeline, Track};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::duration;
use crate::report::human::{DIM, clean, count, paint};

const GREEN: Style = AnsiColor::Green.on_default();
const CYAN: Style = AnsiColor::Cyan.on_default();

/// The widest column of addresses.
const MOST_ADDRESS: usize = 36;
/// The narrowest and the widest chart.
const LEAST_BAR: usize = 12;
const MOST_BAR: usize = 100;
/// How many instances inside of control nodes have a line, unless all are asked for.
const MOST_INSIDE: usize = 40;
/// How many lines there are at most, unless all are asked for.
const MOST_LINES: usize = 200;

/// The kinds of spans with their signs, the one that matters most first.
const KINDS: [(SpanKind, char, &str); 5] = [
    (SpanKind::Failed, '▒', "failed"),
    (SpanKind::CutOff, '▚', "cut off"),
    (SpanKind::Run, '█', "runs"),
    (SpanKind::Wait, '─', "waits"),
    (SpanKind::Backoff, '·', "until the next attempt"),
];

/// The lines of the chart.
pub(crate) fn draw(timeline: &Timeline, width: usize, is_full: bool) -> Vec<String> {
    let (shown, hidden) = choose(&timeline.tracks, is_full);
    let labels: Vec<String> = shown.iter().map(|track| label(track, timeline.rounds)).collect();
    let texts: Vec<String> = shown.iter().map(|track| text(track)).collect();
    let widest = |texts: &[String]| texts.iter().map(|text| text.width()).max().unwrap_or(0);
    let label_width = widest(&labels).min(MOST_ADDRESS);
    let free = width.saturating_sub(label_width + widest(&texts) + 6);
    let bar_width = free.clamp(LEAST_BAR, MOST_BAR);
    let total = duration::show(timeline.until.since(timeline.started_at));
    let rule = "─".repeat(bar_width.saturating_sub(total.width() + 3));
    let indent = " ".repeat(label_width + 4);
    let mut lines = vec![paint(DIM, &format!("{indent}0 {rule} {total}"))];
    let mut used: Vec<SpanKind> = Vec::new();
    for ((track, label), text) in shown.iter().zip(&labels).zip(&texts) {
        let (style, mark) = mark(track.status);
        let label = fit(label, label_width);
        let bar = bar(track, timeline, bar_width, &mut used);
        let line = format!("{} {label}  {bar}  {text}", paint(style, mark));
        lines.push(line.trim_end().to_owned());
    }
    if hidden > 0 {
        let what = count(hidden, "other node instance");
        lines.push(paint(DIM, &format!("  {what}; `--full` shows all")));
    }
    let legend = KINDS.iter().filter(|(kind, ..)| *kind != SpanKind::Run && used.contains(kind));
    let legend: Vec<String> = legend.map(|(_, sign, what)| format!("{sign} {what}")).collect();
    if !legend.is_empty() {
        lines.push(paint(DIM, &format!("{indent}{}", legend.join("   "))));
    }
    lines
}

/// The tracks to show, and how many are left out: with many inside of control nodes, only those that
/// one wants to see most.
fn choose(tracks: &[Track], is_full: bool) -> (Vec<&Track>, usize) {
    let inside = tracks.iter().filter(|track| track.is_inside()).count();
    let is_wanted = |track: &&Track| {
        let is_quiet = matches!(track.status, NodeStatus::Succeeded | NodeStatus::Skipped);
        is_full || inside <= MOST_INSIDE || !track.is_inside() || !is_quiet
    };
    let most = if is_full { usize::MAX } else { MOST_LINES };
    let shown: Vec<&Track> = tracks.iter().filter(is_wanted).take(most).collect();
    let hidden = tracks.len() - shown.len();
    (shown, hidden)
}

fn label(track: &Track, rounds: u32) -> String {
    let depth = track.address.matches(['.', '[']).count().min(4);
    let round = if rounds > 1 { format!(" (round {})", track.round) } else { String::new() };
    format!("{}{}{round}", " ".repeat(depth), clean(&track.address))
}

/// What stands behind the bar: how long it took, and how often it was tried.
fn text(track: &Track) -> String {
    let took = track.started_at().zip(track.ended_at()).map(|(from, to)| to.since(from));
    let took = took.map(duration::show);
    let attempts = Some(track.attempts()).filter(|attempts| *attempts > 1);
    let attempts = attempts.map(|attempts| count(attempts as usize, "attempt"));
    let status = match track.status {
        NodeStatus::Pending => Some("not started".to_owned()),
        NodeStatus::Running => Some("running".to_owned()),
        NodeStatus::Waiting if track.note.is_empty() => Some("waiting".to_owned()),
        NodeStatus::Waiting => Some(format!("waits: {}", cut(&track.note))),
        NodeStatus::Failed => track.error.as_ref().map(|error| error.code().to_owned()),
        NodeStatus::Skipped => Some("skipped".to_owned()),
        NodeStatus::Cancelled => Some("cancelled".to_owned()),
        NodeStatus::Succeeded if track.spans.is_empty() => Some("kept".to_owned()),
        NodeStatus::Succeeded => None,
    };
    let parts: Vec<String> = [took, attempts, status].into_iter().flatten().collect();
    parts.join(", ")
}

fn cut(text: &str) -> String {
    clean(text).chars().take(32).collect()
}

pub(crate) fn mark(status: NodeStatus) -> (Style, &'static str) {
    match status {
        NodeStatus::Pending => (DIM, "·"),
        NodeStatus::Running => (CYAN, "▶"),
        NodeStatus::Waiting => (CYAN, "⋯"),
        NodeStatus::Succeeded => (GREEN, "✓"),
        NodeStatus::Failed => (DEFAULT_ERROR_STYLE, "✗"),
        NodeStatus::Skipped => (DIM, "○"),
        NodeStatus::Cancelled => (DEFAULT_WARNING_STYLE, "⊘"),
    }
}

/// A text of exactly this width.
fn fit(text: &str, width: usize) -> String {
    if text.width() <= width {
        return format!("{text}{}", " ".repeat(width - text.width()));
    }
    let mut cut = String::new();
    let mut used = 1;
    for letter in text.chars() {
        let more = letter.width().unwrap_or(0);
        if used + more > width {
            break;
        }
        used += more;
        cut.push(letter);
    }
    format!("{cut}…{}", " ".repeat(width - used))
}

/// What happened when, a sign for each part of the time.
fn bar(track: &Track, timeline: &Timeline, width: usize, used: &mut Vec<SpanKind>) -> String {
    let mut cells: Vec<Option<usize>> = vec![None; width];
    for span in &track.spans {
        let to = span.to.unwrap_or(timeline.until);
        let first = cell(span.from, timeline, width);
        let last = cell(to, timeline, width).max(first);
        let rank = KINDS.iter().position(|(kind, ..)| *kind == span.kind).unwrap_or(0);
        used.push(span.kind);
        // The end of one span and the beginning of the next are one moment.
        let end = if last > first && span.to.is_some() { last - 1 } else { last };
        for cell in &mut cells[first..=end] {
            *cell = Some(cell.map_or(rank, |other| other.min(rank)));
        }
    }
    let mut text = String::new();
    let mut rest = cells.as_slice();
    while let Some(&first) = rest.first() {
        let length = rest.iter().take_while(|cell| **cell == first).count();
        rest = &rest[length..];
        match first {
            None => text.push_str(&" ".repeat(length)),
            Some(rank) => {
                let (kind, sign, _) = KINDS[rank];
                let style = match kind {
                    SpanKind::Failed => DEFAULT_ERROR_STYLE,
                    SpanKind::CutOff => DEFAULT_WARNING_STYLE,
                    SpanKind::Run => GREEN,
                    SpanKind::Wait => CYAN,
                    SpanKind::Backoff => DIM,
                };
                text.push_str(&paint(style, &sign.to_string().repeat(length)));
            }
        }
    }
    text
}

fn cell(at: Timestamp, timeline: &Timeline, width: usize) -> usize {
    let total = timeline.until.since(timeline.started_at).as_micros().max(1);
    let before = at.since(timeline.started_at).as_micros();
    let position = before.saturating_mul(width as u128) / total;
    usize::try_from(position).unwrap_or(width).min(width - 1)
}

#[cfg(test)]
mod tests {
    use anstream::adapter::strip_str;
    use flowcore::NodeError;

    use super::*;
    use flowruntime::history::Span;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn track(
        address: &str,
        status: NodeStatus,
        spans: &[(SpanKind, u32, i64, Option<i64>)],
    ) -> Track {
        let spans = spans.iter().map(|&(kind, attempt, from, to)| Span {
            kind,
            attempt,
            from: at(from),
            to: to.map(at),
            note: String::new(),
        });
        let error = (status == NodeStatus::Failed).then(|| NodeError::new("shell.exit", "no"));
        Track {
            address: address.to_owned(),
            round: 1,
            node_type: "shell.exec".to_owned(),
            status,
            spans: spans.collect(),
            error,
            outputs: None,
            inputs: None,
            note: String::new(),
        }
    }

    #[test]
    fn a_chart_shows_attempts_retries_and_waits() {
        let mut timeline = Timeline::new(at(0));
        timeline.until = at(1000);
        timeline.tracks = vec![
            track(
                "fetch",
                NodeStatus::Succeeded,
                &[
                    (SpanKind::Failed, 1, 0, Some(200)),
                    (SpanKind::Backoff, 1, 200, Some(400)),
                    (SpanKind::Run, 2, 400, Some(600)),
                ],
            ),
            track("approve", NodeStatus::Waiting, &[(SpanKind::Wait, 1, 600, None)]),
            track("send", NodeStatus::Pending, &[]),
        ];
        let lines: Vec<String> =
            draw(&timeline, 60, false).iter().map(|line| strip_str(line).to_string()).collect();
        let expected = [
            "           0 ─────────────────────── 1.0s",
            "✓ fetch    ▒▒▒▒▒▒······██████              600ms, 2 attempts",
            "⋯ approve                    ────────────  waiting",
            "· send                                     not started",
            "           ▒ failed   ─ waits   · until the next attempt",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn of_many_inside_only_those_that_did_not_go_well_are_shown() {
        let inside = |number: usize, status| track(&format!("each[{number}].a"), status, &[]);
        let mut tracks = vec![track("each", NodeStatus::Running, &[])];
        tracks.extend((0..100).map(|number| inside(number, NodeStatus::Succeeded)));
        tracks.push(inside(100, NodeStatus::Failed));
        let (shown, hidden) = choose(&tracks, false);
        let shown: Vec<&str> = shown.iter().map(|track| track.address.as_str()).collect();
        assert_eq!((shown, hidden), (vec!["each", "each[100].a"], 100));
        assert_eq!(choose(&tracks, true).1, 0);
    }

    #[test]
    fn texts_fit() {
        assert_eq!(fit("abc", 5), "abc  ");
        assert_eq!(fit("abcdef", 4), "abc…");
    }
}

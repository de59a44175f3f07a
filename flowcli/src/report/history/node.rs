//! What happened to one node instance, for people.

use anstyle::Style;
use flowcore::Value;
use flowruntime::history::{Span, SpanKind, Track};
use flowruntime::store::LogLine;

use super::gantt::mark;
use crate::report::human::{BOLD, DIM, clean, clean_lines, paint};
use crate::{duration, moment};

/// The lines about a node instance.
pub(crate) fn describe(track: &Track, log: &[LogLine]) -> Vec<String> {
    let (style, sign) = mark(track.status);
    let mut lines = vec![format!(
        "{} {}  {}{}",
        paint(style, sign),
        paint(BOLD, &clean(&track.address)),
        track.status,
        paint(DIM, &format!("  {}", track.node_type))
    )];
    if !track.note.is_empty() {
        lines.push(format!("  {}", clean(&track.note)));
    }
    lines.extend(track.spans.iter().map(span));
    if let Some(error) = &track.error {
        lines.push(format!("  error: {} [{}]", clean(&error.to_string()), error.code()));
        lines.extend(error.causes().iter().map(|cause| format!("    because {}", clean(cause))));
        lines.extend(error.hint().map(|hint| format!("    help: {}", clean(hint))));
    }
    if let Some(given) = &track.inputs {
        if !given.inputs.is_empty() {
            lines.extend(value("inputs", &Value::from(given.inputs.clone())));
        }
        if let Some(config) = &given.config {
            lines.extend(value("config", &Value::from(config.clone())));
        }
    }
    if let Some(outputs) = &track.outputs
        && let Ok(outputs) = outputs.to_object()
    {
        lines.extend(value("outputs", &Value::from(outputs)));
    }
    if !log.is_empty() {
        lines.push("  the last lines that it wrote:".to_owned());
        lines.extend(log.iter().map(|line| paint(DIM, &format!("    {}", clean(&line.text)))));
    }
    lines
}

fn span(span: &Span) -> String {
    let what = match span.kind {
        SpanKind::Run if span.to.is_none() => "runs".to_owned(),
        SpanKind::Run => "succeeded".to_owned(),
        SpanKind::Failed => "failed".to_owned(),
        SpanKind::CutOff => "cut off".to_owned(),
        SpanKind::Wait => "waits".to_owned(),
        SpanKind::Backoff => "waits for the next attempt".to_owned(),
    };
    let took = span.to.map(|to| format!(" after {}", duration::show(to.since(span.from))));
    let note = match span.note.as_str() {
        "" => String::new(),
        note => format!(": {}", clean(note)),
    };
    let attempt = match span.kind {
        SpanKind::Run | SpanKind::Failed | SpanKind::CutOff => format!("attempt {}", span.attempt),
        SpanKind::Wait | SpanKind::Backoff => String::new(),
    };
    let line =
        format!("{} {attempt} {what}{}{note}", moment::show(span.from), took.unwrap_or_default());
    format!("  {}", line.replace("  ", " "))
}

/// A value with its name: on the line, or below it when it is long.
fn value(name: &str, value: &Value) -> Vec<String> {
    let text = value.to_json_text();
    if text.chars().count() <= 100 {
        return vec![format!("  {name}: {}", clean(&text))];
    }
    let text = serde_json::to_string_pretty(value).unwrap_or(text);
    let lines = clean_lines(&text);
    let lines = lines.lines().map(|line| format!("    {line}"));
    std::iter::once(format!("  {name}:")).chain(lines).collect()
}

/// A value on a line that is not longer than this.
pub(super) fn one_line(value: &Value, width: usize) -> String {
    let text = clean(&value.to_json_text());
    if text.chars().count() <= width {
        return text;
    }
    let cut: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{cut}{}", paint(Style::new().dimmed(), "…"))
}

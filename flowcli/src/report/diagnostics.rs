//! The problems of a workflow, as rustc shows those of a program.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Message, Origin, Renderer, Snippet};
use flowcore::{Diagnostic, Diagnostics, Location, Source};

use super::human::{clean, count};
use crate::source::display_name;

/// The most bytes shown on either side of a problem: a file may be a single line of megabytes.
const MOST_AROUND: usize = 160;

/// The line with the problem underlined, its code, and what to do about it.
pub(crate) fn render(source: &Source, diagnostic: &Diagnostic, styled: bool) -> String {
    let level = if diagnostic.is_error() { Level::ERROR } else { Level::WARNING };
    let title = level.primary_title(clean(&diagnostic.message)).id(diagnostic.code);
    let group = match &diagnostic.location {
        Some(location) => title.elements([origin(source, location)]).element(excerpt(
            source.text(),
            location,
            label(diagnostic),
        )),
        None => Group::with_title(title),
    };
    let renderer = if styled { Renderer::styled() } else { Renderer::plain() };
    renderer.render(&[group.elements(footers(diagnostic))])
}

/// How many problems there are: `2 errors, 1 warning`.
pub(crate) fn summary(found: &Diagnostics) -> String {
    let kinds = [(found.errors().count(), "error"), (found.warnings().count(), "warning")];
    let kinds = kinds.into_iter().filter(|(number, _)| *number > 0);
    kinds.map(|(number, kind)| count(number, kind)).collect::<Vec<_>>().join(", ")
}

fn origin(source: &Source, location: &Location) -> Origin<'static> {
    let path = clean(display_name(source.name()));
    Origin::path(path).line(location.line).char_column(location.column)
}

/// What stands under the underlined part.
fn label(diagnostic: &Diagnostic) -> Option<String> {
    let suggestion = diagnostic.suggestion.as_ref();
    suggestion.map(|near| format!("did you mean `{}`?", clean(near)))
}

fn footers(diagnostic: &Diagnostic) -> Vec<Message<'static>> {
    let expected = diagnostic.expected.as_ref().map(|expected| format!("expected {expected}"));
    let unplaced = diagnostic.location.is_none();
    let suggestion = label(diagnostic).filter(|_| unplaced);
    let pointer = Some(&diagnostic.pointer).filter(|pointer| unplaced && !pointer.is_empty());
    let pointer = pointer.map(|pointer| format!("at {pointer}"));
    let notes = [pointer, expected].into_iter().flatten();
    let helps = [suggestion, diagnostic.hint.clone()].into_iter().flatten();
    let notes = notes.map(|text| Level::NOTE.message(clean(&text)));
    notes.chain(helps.map(|text| Level::HELP.message(clean(&text)))).collect()
}

/// The first line of the problem, cut where it is very long.
fn excerpt(
    text: &str,
    location: &Location,
    label: Option<String>,
) -> Snippet<'static, annotate_snippets::Annotation<'static>> {
    let start = floor_char(text, location.range.start);
    let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
    let line_end = text[start..].find(['\n', '\r']).map_or(text.len(), |length| start + length);
    let end = floor_char(text, location.range.end).clamp(start, line_end);
    let shown = window(text, line_start..line_end, start..end);
    let before = if shown.start > line_start { "…" } else { "" };
    let after = if shown.end < line_end { "…" } else { "" };
    let shift = |at: usize| at - shown.start + before.len();
    let span = shift(start)..shift(end.min(shown.end));
    let line = format!("{before}{}{after}", same_length(&text[shown]));
    Snippet::source(line)
        .line_start(location.line)
        .fold(false)
        .annotation(AnnotationKind::Primary.span(span).label(label))
}

/// The part of a line around a problem.
fn window(text: &str, line: Range<usize>, problem: Range<usize>) -> Range<usize> {
    let start = problem.start.saturating_sub(MOST_AROUND).max(line.start);
    let end = (problem.end.min(problem.start + MOST_AROUND) + MOST_AROUND).min(line.end);
    floor_char(text, start)..floor_char(text, end)
}

fn floor_char(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

/// The renderer shows ASCII control characters as signs; those of Unicode, of two bytes each,
/// become another sign of two bytes.
fn same_length(text: &str) -> String {
    text.chars().map(|c| if ('\u{80}'..='\u{9f}').contains(&c) { '·' } else { c }).collect()
}

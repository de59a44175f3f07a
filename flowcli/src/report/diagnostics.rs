//! The problems of a workflow, as rustc shows those of a program.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Element, Level, Origin, Renderer, Snippet};
use anstream::adapter::strip_str;
use flowcore::{Diagnostic, Diagnostics, Location, Source};

use super::human::{caution, clean, count, failure, help, note};
use crate::source::display_name;

/// Up to this many bytes before a problem its line is left whole, and the renderer cuts it to the
/// terminal. A file may be a single line of megabytes, which it would read for every problem.
const MOST_BEFORE: usize = 4096;
/// The most bytes of a longer line on either side of a problem.
const MOST_AROUND: usize = 160;

/// The longest `expected` that stands under the problem itself.
const MOST_IN_LABEL: usize = 60;

/// The line with the problem underlined, its code, and what to do about it; without a line break at
/// the end.
pub(crate) fn render(source: &Source, diagnostic: &Diagnostic, look: Look) -> String {
    let Some(location) = &diagnostic.location else { return without_place(diagnostic) };
    let level = if diagnostic.is_error() { Level::ERROR } else { Level::WARNING };
    let title = level.primary_title(clean(&diagnostic.message)).id(diagnostic.code);
    let label = label(diagnostic);
    let rest = rest(diagnostic, label.as_deref()).map(|text| Level::NOTE.message(text));
    let hint = diagnostic.hint.iter().map(|text| Level::HELP.message(clean(text)));
    let group = title.elements(excerpt(source, location, label)).elements(rest.chain(hint));
    let renderer = if look.styled { Renderer::styled() } else { Renderer::plain() };
    without_empty_origin(&renderer.term_width(look.width).render(&[group]))
}

/// The renderer takes an excerpt without a path for one of another file, and begins it with the
/// place of that file: with nothing.
fn without_empty_origin(text: &str) -> String {
    let is_empty = |line: &&str| strip_str(line).to_string().trim() == ":::";
    text.split('\n').filter(|line| !is_empty(line)).collect::<Vec<_>>().join("\n")
}

/// A problem of what has no text, such as inputs from the command line.
fn without_place(diagnostic: &Diagnostic) -> String {
    let severity = if diagnostic.is_error() { failure } else { caution };
    let mut text = severity(Some(diagnostic.code), &diagnostic.message, None);
    let pointer = Some(&diagnostic.pointer).filter(|pointer| !pointer.is_empty());
    let pointer = pointer.map(|pointer| format!("at {pointer}"));
    let label = label(diagnostic);
    let rest = rest(diagnostic, label.as_deref());
    for line in pointer.into_iter().chain(label.clone()).chain(rest) {
        text.push_str(&format!("\n{}", note(&line)));
    }
    if let Some(hint) = &diagnostic.hint {
        text.push_str(&format!("\n{}", help(hint)));
    }
    text
}

/// How messages look.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    /// Whether they have colours.
    pub(crate) styled: bool,
    /// How wide they may be.
    pub(crate) width: usize,
}

/// How many problems there are: `2 errors, 1 warning`.
pub(crate) fn summary(found: &Diagnostics) -> String {
    let kinds = [(found.errors().count(), "error"), (found.warnings().count(), "warning")];
    let kinds = kinds.into_iter().filter(|(number, _)| *number > 0);
    kinds.map(|(number, kind)| count(number, kind)).collect::<Vec<_>>().join(", ")
}

/// What stands under the underlined part: what was probably meant, or what was expected.
fn label(diagnostic: &Diagnostic) -> Option<String> {
    let suggestion = diagnostic.suggestion.as_ref();
    let suggestion = suggestion.map(|near| format!("did you mean `{}`?", clean(near)));
    suggestion.or_else(|| expected(diagnostic).filter(|text| text.chars().count() <= MOST_IN_LABEL))
}

fn expected(diagnostic: &Diagnostic) -> Option<String> {
    diagnostic.expected.as_ref().map(|expected| format!("expected {}", clean(expected)))
}

/// What was expected, if the label does not say it already.
fn rest(diagnostic: &Diagnostic, label: Option<&str>) -> std::option::IntoIter<String> {
    let is_new = |text: &String| {
        let named = diagnostic.suggestion.as_deref().is_some_and(|near| {
            diagnostic
                .expected
                .as_deref()
                .is_some_and(|expected| expected.trim_matches('`') == near)
        });
        label != Some(text) && !named
    };
    expected(diagnostic).filter(is_new).into_iter()
}

/// The first line of the problem and where it is; cut where it is very long.
fn excerpt(source: &Source, location: &Location, label: Option<String>) -> Vec<Element<'static>> {
    let text = source.text();
    let start = floor_char(text, location.range.start);
    let line = line_around(text, start);
    let end = floor_char(text, location.range.end).clamp(start, line.end);
    let shown = window(text, line.clone(), start..end);
    let (before, after) = (shown.start > line.start, shown.end < line.end);
    let (before, after) = (if before { "…" } else { "" }, if after { "…" } else { "" });
    let shift = |at: usize| at - shown.start + before.len();
    let span = shift(start)..shift(end.min(shown.end));
    let line = format!("{before}{}{after}", same_length(&text[shown]));
    let snippet = Snippet::source(line)
        .line_start(location.line)
        .fold(false)
        .annotation(AnnotationKind::Primary.span(span).label(label));
    let path = clean(display_name(source.name()));
    if before.is_empty() {
        return vec![snippet.path(path).into()];
    }
    // The renderer counts columns in what it is given.
    let origin = Origin::path(path).line(location.line).char_column(location.column);
    vec![origin.into(), snippet.into()]
}

/// The line on which a problem begins, or as much of it as may be shown and a little more: each of
/// a thousand problems of a file of one line would search all of it.
fn line_around(text: &str, start: usize) -> Range<usize> {
    let first = floor_char(text, start.saturating_sub(MOST_BEFORE + 4));
    let last = floor_char(text, start + 2 * MOST_AROUND + 4);
    let begin = text[first..start].rfind('\n').map_or(first, |newline| first + newline + 1);
    let end = text[start..last].find(['\n', '\r']).map_or(last, |length| start + length);
    begin..end
}

/// The part of a line around a problem.
fn window(text: &str, line: Range<usize>, problem: Range<usize>) -> Range<usize> {
    let is_long = problem.start - line.start > MOST_BEFORE;
    let start = if is_long { problem.start - MOST_AROUND } else { line.start };
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

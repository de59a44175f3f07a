//! Where in the text the problems are.

use std::ops::Range;

use super::diagnostic::Part;
use super::{Diagnostics, Format, Location, Source};
use crate::value::{Span, locate};

/// Gives every diagnostic that has none its place in the text, and brings all in the order of the
/// text.
///
/// One pass over the text finds all pointers, and another counts all lines.
pub(crate) fn place(source: &Source, diagnostics: &mut Diagnostics) {
    let mut places = ranges(source, diagnostics);
    places.sort_by_key(|(_, range)| range.start);
    let mut lines = Lines::new(source.text());
    let mut locations: Vec<Option<Location>> = vec![None; diagnostics.len()];
    for (index, range) in places {
        locations[index] = Some(lines.locate(range));
    }
    for (diagnostic, location) in diagnostics.iter_mut().zip(locations) {
        diagnostic.location = diagnostic.location.take().or(location);
    }
    diagnostics.sort_by_place();
}

/// The bytes of every diagnostic without a place, by its index.
fn ranges(source: &Source, diagnostics: &Diagnostics) -> Vec<(usize, Range<usize>)> {
    let open = || diagnostics.iter().enumerate().filter(|(_, d)| d.location.is_none());
    let pointers: Vec<&str> = open()
        .filter(|(_, diagnostic)| !matches!(diagnostic.part, Part::Text(_)))
        .map(|(_, diagnostic)| diagnostic.pointer.as_str())
        .collect();
    let spans = if pointers.is_empty() { Vec::new() } else { spans(source, &pointers) };
    let mut spans = spans.into_iter();
    open()
        .map(|(index, diagnostic)| {
            let range = match &diagnostic.part {
                Part::Text(range) => Some(range.clone()),
                part => spans.next().map(|span| range_of(source, &span, part)),
            };
            (index, range.unwrap_or(0..source.text().len()))
        })
        .collect()
}

pub(super) fn spans(source: &Source, pointers: &[&str]) -> Vec<Span> {
    match source.format() {
        Format::Json => locate(source.text(), pointers),
        #[cfg(feature = "yaml")]
        Format::Yaml => crate::value::locate_yaml(source.text(), pointers),
        #[cfg(not(feature = "yaml"))]
        Format::Yaml => Vec::new(),
    }
}

fn range_of(source: &Source, span: &Span, part: &Part) -> Range<usize> {
    match part {
        Part::Key => span.key.clone().unwrap_or_else(|| span.value.clone()),
        Part::Within(inner) => within(source, &span.value, inner),
        Part::Value | Part::Text(_) => span.value.clone(),
    }
}

/// The bytes in the text of these bytes of the string that stands at `string`.
fn within(source: &Source, string: &Range<usize>, inner: &Range<usize>) -> Range<usize> {
    let mapped = match source.format() {
        Format::Json => within_json(source.text(), string, inner),
        #[cfg(feature = "yaml")]
        Format::Yaml => crate::value::within_yaml(source.text(), string, inner),
        #[cfg(not(feature = "yaml"))]
        Format::Yaml => None,
    };
    mapped.unwrap_or_else(|| string.clone())
}

/// Follows the escapes of a JSON string, quotes included.
fn within_json(text: &str, string: &Range<usize>, inner: &Range<usize>) -> Option<Range<usize>> {
    let body = text.get(string.clone())?.strip_prefix('"')?.strip_suffix('"')?;
    let (mut decoded, mut at) = (0, 0);
    let (mut start, mut end) = (None, None);
    while at <= body.len() {
        if start.is_none() && decoded >= inner.start {
            start = Some(at);
        }
        if end.is_none() && decoded >= inner.end {
            end = Some(at);
            break;
        }
        let (source_length, decoded_length) = unit(&body[at..])?;
        at += source_length;
        decoded += decoded_length;
    }
    let first = string.start + 1;
    Some(first + start?..first + end?)
}

/// How long the character or escape at the beginning is in the text, and how long decoded.
fn unit(rest: &str) -> Option<(usize, usize)> {
    let Some(escape) = rest.strip_prefix('\\') else {
        let length = rest.chars().next()?.len_utf8();
        return Some((length, length));
    };
    if !escape.starts_with('u') {
        return Some((2, 1));
    }
    let code = u32::from_str_radix(rest.get(2..6)?, 16).ok()?;
    // Half of a surrogate pair: the other half follows, and together they are four bytes.
    Some(char::from_u32(code).map_or((12, 4), |c| (6, c.len_utf8())))
}

/// The range within the text, widened to whole characters.
fn whole_characters(text: &str, range: &Range<usize>) -> Range<usize> {
    let start = text.floor_char_boundary(range.start);
    start..text.ceil_char_boundary(range.end.min(text.len())).max(start)
}

/// Counts lines and columns forwards, so that all places of a text cost one pass.
struct Lines<'a> {
    text: &'a str,
    at: usize,
    line: usize,
    column: usize,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, at: 0, line: 1, column: 1 }
    }

    /// Must be called with ranges in the order of their starts.
    fn locate(&mut self, range: Range<usize>) -> Location {
        let range = whole_characters(self.text, &range);
        let start = range.start;
        for letter in self.text[self.at.min(start)..start].chars() {
            if letter == '\n' {
                self.line += 1;
                self.column = 1;
            } else {
                self.column += 1;
            }
        }
        self.at = start;
        Location { range, line: self.line, column: self.column }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Diagnostic;
    use super::*;

    #[track_caller]
    fn check(text: &str, diagnostic: Diagnostic, expected: &str) {
        let source = Source::json("", text);
        let mut diagnostics = Diagnostics::new();
        diagnostics.push(diagnostic);
        place(&source, &mut diagnostics);
        let location = diagnostics.iter().next().unwrap().location.clone().unwrap();
        assert_eq!(Location::new(text, location.range.clone()), location, "{text}");
        let found = format!("{}:{} {}", location.line, location.column, &text[location.range]);
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn every_part_is_placed() {
        let text = "{\n  \"é\": \"x\\n\\u00e9 {{ \\ud83d\\ude00 no }}\"\n}";
        let at = |pointer: &str| Diagnostic::error("json.syntax", pointer, "");
        check(text, at("/é"), "2:8 \"x\\n\\u00e9 {{ \\ud83d\\ude00 no }}\"");
        check(text, at("/é").at_key(), "2:3 \"é\"");
        check(text, at("/é").within(13..15), "2:35 no");
        check(text, at("/é").within(8..12), "2:22 \\ud83d\\ude00");
        check(text, at("/é").within(0..18), "2:9 x\\n\\u00e9 {{ \\ud83d\\ude00 no }}");
        check(text, at("").at_text(0..1), "1:1 {");
        check(text, at("/é/deeper").within(1..2), "2:10 \\n");
        check("[1, 2]", at("/1").within(0..9), "1:5 2");
    }

    #[test]
    fn several_are_placed_and_sorted() {
        let source = Source::json("", "[1,\n 2,\n 3]");
        let mut diagnostics = Diagnostics::new();
        for pointer in ["/2", "/0", "/1/x", ""] {
            diagnostics.push(Diagnostic::error("json.syntax", pointer, ""));
        }
        place(&source, &mut diagnostics);
        let lines: Vec<_> =
            diagnostics.iter().filter_map(|d| d.location.as_ref().map(|l| l.line)).collect();
        assert_eq!(lines, [1, 1, 2, 3]);
    }
}

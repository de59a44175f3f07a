//! Where values stand in a YAML text.

use std::ops::Range;

use super::super::locate::Span;
use super::super::unescape_pointer;
use super::builder::{Below, Node, read_document};

/// Finds where the values at these JSON pointers stand, as [`super::super::locate`] does for JSON.
pub(crate) fn locate_yaml(text: &str, pointers: &[&str]) -> Vec<Span> {
    let whole = Span { key: None, value: 0..text.len() };
    let (Some(document), _) = read_document(text) else {
        return vec![whole; pointers.len()];
    };
    pointers.iter().map(|pointer| span_of(&document, pointer)).collect()
}

/// The place of the value at a pointer, or of its nearest ancestor.
fn span_of(document: &Node, pointer: &str) -> Span {
    let mut span = Span { key: None, value: document.range.clone() };
    let mut node = document;
    for token in pointer.split('/').skip(1) {
        let found = match &node.below {
            Below::Nothing => None,
            Below::Items(items) => token
                .parse()
                .ok()
                .and_then(|index: usize| items.get(index))
                .map(|item| (None, item)),
            Below::Members(members) => {
                let key = unescape_pointer(token);
                // Of a key that stands twice the last value counts.
                let member = members.iter().rev().find(|member| *member.key == *key);
                member.map(|member| (Some(member.key_range.clone()), &member.node))
            }
        };
        let Some((key, below)) = found else { break };
        span = Span { key, value: below.range.clone() };
        node = below;
    }
    span
}

/// The bytes in the text of these bytes of the string that stands at `string`; `None` when the way
/// in which it is written does not tell.
pub(crate) fn within_yaml(
    text: &str,
    string: &Range<usize>,
    inner: &Range<usize>,
) -> Option<Range<usize>> {
    let raw = text.get(string.clone())?;
    let map: Box<dyn Fn(usize) -> Option<usize>> = if let Some(body) = quoted(raw, '"') {
        let is_plain = !body.contains(['\\', '\n']);
        Box::new(move |at| is_plain.then_some(at + 1))
    } else if let Some(body) = quoted(raw, '\'') {
        let is_one_line = !body.contains('\n');
        Box::new(move |at| is_one_line.then(|| single_quoted(body, at) + 1))
    } else if !raw.contains('\n') {
        Box::new(Some)
    } else if is_literal(&text[..string.start]) {
        let indent = string.start - text[..string.start].rfind('\n').map_or(0, |at| at + 1);
        Box::new(move |at| literal(raw, indent, at))
    } else {
        return None;
    };
    let (start, end) = (map(inner.start)?, map(inner.end)?);
    (start <= end && end <= raw.len()).then(|| string.start + start..string.start + end)
}

fn quoted(raw: &str, quote: char) -> Option<&str> {
    raw.strip_prefix(quote)?.strip_suffix(quote)
}

/// The offset in the body of a single-quoted scalar, in which `''` is one quote.
fn single_quoted(body: &str, decoded: usize) -> usize {
    let (mut at, mut seen) = (0, 0);
    let bytes = body.as_bytes();
    while seen < decoded && at < bytes.len() {
        at += if bytes[at..].starts_with(b"''") { 2 } else { 1 };
        seen += 1;
    }
    at
}

/// The offset in a literal block, of which every line but the first is indented.
fn literal(raw: &str, indent: usize, decoded: usize) -> Option<usize> {
    let (mut at, mut seen) = (0, 0);
    for (index, line) in raw.split_inclusive('\n').enumerate() {
        let content = line.trim_end_matches(['\r', '\n']);
        let skipped = if index == 0 { 0 } else { indent.min(content.len()) };
        let length = content.len() - skipped + 1;
        if decoded < seen + length {
            return Some(at + skipped + (decoded - seen));
        }
        seen += length;
        at += line.len();
    }
    None
}

/// Whether the text before a block scalar ends with the sign of a literal one.
fn is_literal(before: &str) -> bool {
    let header = before.trim_end().rsplit('\n').next().unwrap_or_default();
    let header = header.split(" #").next().unwrap_or_default();
    header.split_whitespace().next_back().is_some_and(|sign| sign.starts_with('|'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, pointer: &str, inner: &str, decoded: &str) {
        let start = decoded.find(inner).unwrap();
        let span = locate_yaml(text, &[pointer]).remove(0);
        let range = within_yaml(text, &span.value, &(start..start + inner.len()));
        assert_eq!(range.map(|range| &text[range]), Some(inner), "{text}");
    }

    #[test]
    fn bytes_within_strings_are_mapped() {
        check("a: x {{ y }} z", "/a", "{{ y }}", "x {{ y }} z");
        check("a: \"x {{ y }} z\"", "/a", "{{ y }}", "x {{ y }} z");
        check("a: 'it''s {{ y }} z'", "/a", "{{ y }}", "it's {{ y }} z");
        check("a: |-\n  one\n    é {{ y }}\n\n  end", "/a", "{{ y }}", "one\n  é {{ y }}\n\nend");
        check(
            "a:\n  - b: | # note\n      one\n      {{ y }}\n",
            "/a/0/b",
            "{{ y }}",
            "one\n{{ y }}\n",
        );
        let folded = locate_yaml("a: >\n  x\n  {{ y }}", &["/a"]).remove(0);
        assert_eq!(within_yaml("a: >\n  x\n  {{ y }}", &folded.value, &(2..5)), None);
    }

    #[test]
    fn values_are_located() {
        let text =
            "nodes:\n  - id: a\n\n  # comment\n  - id: b\n    config: {x: [1, 22]}\n\nname: n\n";
        let pointers =
            ["/nodes/1/config/x/1", "/nodes/0", "/nodes/1/missing/deep", "/nodes", "/name"];
        let found: Vec<_> = locate_yaml(text, &pointers)
            .into_iter()
            .map(|span| (span.key.map_or("", |key| &text[key]), &text[span.value]))
            .collect();
        assert_eq!(found[0], ("", "22"));
        assert_eq!(found[1], ("", "id: a"));
        assert_eq!(found[2], ("", "id: b\n    config: {x: [1, 22]}"));
        assert!(found[3].0 == "nodes" && found[3].1.ends_with("22]}"));
        assert_eq!(found[4], ("name", "n"));
    }
}

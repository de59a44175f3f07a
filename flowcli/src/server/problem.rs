//! Problem documents, as servers send them.

use std::ops::Range;

use flowcore::{CODES, Diagnostic, Diagnostics, Format, Location, Severity, Source};
use serde::Deserialize;

/// Why a server refuses, in its words.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Problem {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) detail: String,
    pub(crate) hint: Option<String>,
    /// What is wrong with a workflow or its inputs.
    pub(crate) errors: Option<Vec<Found>>,
}

/// A problem of a workflow, each with its place.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Found {
    code: String,
    severity: Level,
    message: String,
    pointer: String,
    range: Option<Range<usize>>,
    expected: Option<String>,
    suggestion: Option<String>,
    hint: Option<String>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Level {
    Warning,
    Error,
}

/// What a server has found, with its places in the text that it was sent from.
pub(crate) fn diagnostics(found: &[Found], source: Option<&Source>) -> Diagnostics {
    let mut all = Diagnostics::new();
    found.iter().for_each(|one| all.push(one.diagnostic(source)));
    all
}

impl Found {
    fn diagnostic(&self, source: Option<&Source>) -> Diagnostic {
        let code = known(&self.code);
        let mut diagnostic = Diagnostic::error(code, self.pointer.clone(), self.message.clone());
        diagnostic.severity = match self.severity {
            Level::Warning => Severity::Warning,
            Level::Error => Severity::Error,
        };
        diagnostic.location = source.and_then(|source| self.place(source));
        diagnostic.expected.clone_from(&self.expected);
        diagnostic.suggestion.clone_from(&self.suggestion);
        diagnostic.hint.clone_from(&self.hint);
        diagnostic
    }

    /// JSON is sent as it stands in the file, but for the blanks around it; what was written in
    /// another form is found again by its pointer.
    fn place(&self, source: &Source) -> Option<Location> {
        let text = source.text();
        if source.format() == Format::Json {
            let range = self.range.clone()?;
            let before = text.len() - text.trim_start().len();
            let (start, end) = (range.start + before, range.end + before);
            return (end <= text.len()).then(|| Location::new(text, start..end));
        }
        source.locate(&[&self.pointer]).pop()
    }
}

/// The text of a code that lives as long as the program. Those of node types of a server are as
/// many as it reports problems, and the program ends after it has shown them.
fn known(code: &str) -> &'static str {
    match CODES.iter().find(|known| known.code == code) {
        Some(known) => known.code,
        None => Box::leak(code.to_owned().into_boxed_str()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(source: &Source, found: &str, line: usize, column: usize) {
        let found: Found = serde_json::from_str(found).unwrap();
        let location = found.diagnostic(Some(source)).location.unwrap();
        assert_eq!((location.line, location.column), (line, column));
    }

    #[test]
    fn places_are_those_of_the_file() {
        let found = r#"{"code": "x.y", "severity": "error", "message": "m", "pointer": "/nodes/0/id",
            "range": {"start": 17, "end": 20}, "line": 1, "column": 18}"#;
        let json = Source::json("w.json", "\n\n  {\"nodes\": [{\"id\": \"a\"}]}\n");
        check(&json, found, 3, 20);
        check(&Source::yaml("w.yaml", "nodes:\n  - id: a\n"), found, 2, 9);
    }
}

//! What is wrong with a workflow, and where.

use std::fmt;
use std::ops::Range;

use serde::Serialize;

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The workflow runs, but probably not as meant.
    Warning,
    /// The workflow cannot run.
    Error,
}

/// A place in a text: bytes, and the line and column (from 1, in characters) of the first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Location {
    /// The bytes.
    pub range: Range<usize>,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
}

impl Location {
    /// The place of these bytes in `text`.
    pub fn new(text: &str, range: Range<usize>) -> Self {
        let start = floor_char_boundary(text, range.start);
        let before = &text[..start];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            range,
        }
    }
}

fn floor_char_boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

/// Which part of a member a problem is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// The value.
    Value,
    /// The key.
    Key,
    /// These bytes of the string that the value is.
    Within(Range<usize>),
    /// These bytes of the whole text.
    Text(Range<usize>),
}

/// One problem of a workflow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Diagnostic {
    /// The stable code, such as `workflow.cycle`; `flowcli explain CODE` tells more.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// A lowercase fragment that names the thing.
    pub message: String,
    /// A JSON pointer to what it is about.
    pub pointer: String,
    /// The place in the text, when there is a text.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub location: Option<Location>,
    /// What was expected instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// The nearest thing that exists: "did you mean".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suggestion: Option<String>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    #[serde(skip)]
    pub(crate) part: Part,
}

impl Diagnostic {
    /// An error at a JSON pointer.
    pub fn error(
        code: &'static str,
        pointer: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            code,
            severity: Severity::Error,
            message: message.into(),
            pointer: pointer.into(),
            location: None,
            expected: None,
            suggestion: None,
            hint: None,
            part: Part::Value,
        }
    }

    /// A warning at a JSON pointer.
    pub fn warning(
        code: &'static str,
        pointer: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, pointer, message) }
    }

    /// Says what was expected instead.
    #[must_use]
    pub fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    /// Says what was probably meant: the candidate nearest to `found`, if one is near.
    #[must_use]
    pub fn suggest<'a>(
        mut self,
        found: &str,
        candidates: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        self.suggestion = nearest(found, candidates).map(str::to_owned);
        self
    }

    /// Says what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// It is about the key, not the value.
    #[must_use]
    pub fn at_key(mut self) -> Self {
        self.part = Part::Key;
        self
    }

    /// It is about these bytes of the string that the value is.
    #[must_use]
    pub(crate) fn within(mut self, range: Range<usize>) -> Self {
        self.part = Part::Within(range);
        self
    }

    /// It is about these bytes of the whole text.
    #[must_use]
    pub(crate) fn at_text(mut self, range: Range<usize>) -> Self {
        self.part = Part::Text(range);
        self
    }

    /// The bytes that it is about, within the string that the pointer leads to; `None` when it is
    /// about the whole.
    pub fn range_within(&self) -> Option<Range<usize>> {
        match &self.part {
            Part::Within(range) => Some(range.clone()),
            Part::Value | Part::Key | Part::Text(_) => None,
        }
    }

    /// Whether the workflow cannot run because of it.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(location) = &self.location {
            write!(f, "{}:{}: ", location.line, location.column)?;
        }
        let severity = if self.is_error() { "error" } else { "warning" };
        write!(f, "{severity}[{}]: {}", self.code, self.message)?;
        if !self.pointer.is_empty() {
            write!(f, " (at {})", self.pointer)?;
        }
        if let Some(suggestion) = &self.suggestion {
            write!(f, "; did you mean `{suggestion}`?")?;
        }
        Ok(())
    }
}

/// The candidate that `found` was probably meant to be: "did you mean". Capitals do not count, and
/// `jq` is as good as `transform.jq`.
pub fn nearest<'a>(found: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let found = found.to_lowercase();
    let letters = found.chars().count();
    // A third of the letters may be wrong, but never all of them; more is a guess.
    let most = (letters / 3).max(1).min(letters.saturating_sub(1));
    let distance = |candidate: &str| {
        let candidate = candidate.to_lowercase();
        let is_end = candidate.rsplit_once('.').is_some_and(|(_, end)| end == found);
        if is_end { 0 } else { strsim::damerau_levenshtein(&found, &candidate) }
    };
    candidates
        .into_iter()
        .map(|candidate| (distance(candidate), candidate))
        .filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// All problems of a workflow, in the order of the text, or, without a text, in the order in which
/// they were found; as an error, those that keep it from running.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    /// No problem so far.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a problem.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.0.push(diagnostic);
    }

    /// All problems.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.0.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> std::slice::IterMut<'_, Diagnostic> {
        self.0.iter_mut()
    }

    /// Brings them in the order of the text.
    pub(crate) fn sort_by_place(&mut self) {
        self.0.sort_by_key(|diagnostic| diagnostic.location.as_ref().map(|l| l.range.start));
    }

    /// Those that keep the workflow from running.
    pub fn errors(&self) -> impl Iterator<Item = &Diagnostic> {
        self.0.iter().filter(|diagnostic| diagnostic.is_error())
    }

    /// Those that do not.
    pub fn warnings(&self) -> impl Iterator<Item = &Diagnostic> {
        self.0.iter().filter(|diagnostic| !diagnostic.is_error())
    }

    /// Whether something keeps the workflow from running.
    pub fn has_errors(&self) -> bool {
        self.errors().next().is_some()
    }

    /// Whether there is no problem at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many problems there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Keeps the first so many; gives how many were dropped.
    pub(crate) fn truncate(&mut self, length: usize) -> usize {
        let dropped = self.0.len().saturating_sub(length);
        self.0.truncate(length);
        dropped
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl IntoIterator for Diagnostics {
    type Item = Diagnostic;
    type IntoIter = std::vec::IntoIter<Diagnostic>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl Extend<Diagnostic> for Diagnostics {
    fn extend<T: IntoIterator<Item = Diagnostic>>(&mut self, diagnostics: T) {
        self.0.extend(diagnostics);
    }
}

/// One problem a line.
impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().enumerate().try_for_each(|(index, diagnostic)| {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{diagnostic}")
        })
    }
}

impl std::error::Error for Diagnostics {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found() {
        let candidates = ["transform.jq", "transform.csv_parse", "a", "s", "limit", "Größe"];
        let near = |found| nearest(found, candidates);
        for (found, meant) in [
            ("transform.qj", "transform.jq"),
            ("transfrom.csv_parse", "transform.csv_parse"),
            ("jq", "transform.jq"),
            ("CSV_Parse", "transform.csv_parse"),
            ("limt", "limit"),
            ("LIMIT", "limit"),
            ("größe", "Größe"),
            ("S", "s"),
        ] {
            assert_eq!(near(found), Some(meant), "{found}");
        }
        for found in ["", "x", "lima", "csv", "nothing"] {
            assert_eq!(near(found), None, "{found}");
        }
    }
}

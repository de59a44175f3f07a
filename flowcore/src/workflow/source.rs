//! The text of a workflow file, and reading it as a tree of values.

use crate::value::{JsonError, JsonErrorKind, Value, read_json_reporting_duplicates};

use super::{Diagnostic, Diagnostics, Location};
use crate::id::{MAX_ID_LENGTH, WorkflowId};

/// How a workflow file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// Strict JSON.
    Json,
    /// YAML 1.2; read only by builds with the feature `yaml`.
    Yaml,
}

/// The text of a workflow file, with its name for messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    name: String,
    text: String,
    format: Format,
}

impl Source {
    /// A JSON text. The name is what messages call it, such as a path; it may be empty.
    pub fn json(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self::new(name.into(), text.into(), Format::Json)
    }

    /// A YAML text.
    pub fn yaml(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self::new(name.into(), text.into(), Format::Yaml)
    }

    /// A text whose format follows from the extension of its name: `.yaml` and `.yml` are YAML,
    /// everything else is JSON.
    pub fn from_path_name(name: impl Into<String>, text: impl Into<String>) -> Self {
        let name = name.into();
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
        let is_yaml = ["yaml", "yml"].iter().any(|yaml| extension.eq_ignore_ascii_case(yaml));
        Self::new(name, text.into(), if is_yaml { Format::Yaml } else { Format::Json })
    }

    /// A byte order mark is no part of the text.
    fn new(name: String, mut text: String, format: Format) -> Self {
        if text.starts_with('\u{feff}') {
            text.drain(..'\u{feff}'.len_utf8());
        }
        Self { name, text, format }
    }

    /// What messages call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text, to which the places of diagnostics refer.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// How it is written.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The id of a workflow that has none in this file: the stem of the file's name, with other
    /// characters than letters, digits, `_` and `-` turned into `-`. `None` when the name is empty
    /// or has no letter and no digit (`-` is how command lines write standard input).
    pub fn default_id(&self) -> Option<WorkflowId> {
        let file = self.name.rsplit(['/', '\\']).next().unwrap_or_default();
        let stem = file.split_once('.').map_or(file, |(stem, _)| stem);
        let letter = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
        let id: String = stem.chars().map(letter).take(MAX_ID_LENGTH).collect();
        let named = id.chars().any(|c| c.is_ascii_alphanumeric());
        named.then(|| WorkflowId::new(id).ok()).flatten()
    }

    /// Where the values at these JSON pointers stand in the text; a pointer to something that is not
    /// there gives the place of its nearest ancestor.
    pub fn locate(&self, pointers: &[&str]) -> Vec<Location> {
        let spans = super::place::spans(self, pointers);
        spans.into_iter().map(|span| Location::new(&self.text, span.value)).collect()
    }

    /// Reads the text as a tree; adds what is wrong with it, and is `None` when that keeps it from
    /// being read at all.
    pub(crate) fn read_tree(&self, diagnostics: &mut Diagnostics) -> Option<Value> {
        match self.format {
            Format::Json => read_json_tree(&self.text, diagnostics),
            Format::Yaml => read_yaml_tree(&self.text, diagnostics),
        }
    }
}

fn read_json_tree(text: &str, diagnostics: &mut Diagnostics) -> Option<Value> {
    match read_json_reporting_duplicates(text) {
        Ok((value, duplicates)) => {
            for duplicate in duplicates {
                let message = format!("the key `{}` stands twice in one object", duplicate.key);
                diagnostics.push(
                    Diagnostic::error("json.duplicate_key", duplicate.pointer, message)
                        .at_text(duplicate.range),
                );
            }
            Some(value)
        }
        Err(error) => {
            diagnostics.push(json_error(text, &error));
            None
        }
    }
}

#[cfg(feature = "yaml")]
fn read_yaml_tree(text: &str, diagnostics: &mut Diagnostics) -> Option<Value> {
    let (value, problems) = crate::value::read_yaml(text);
    for problem in problems {
        let is_expression =
            text.get(problem.range.start..).is_some_and(|rest| rest.starts_with('{'));
        let diagnostic = Diagnostic::error(problem.code, problem.pointer, problem.message);
        let diagnostic = diagnostic.at_text(problem.range);
        diagnostics.push(match problem.code {
            "yaml.bad_key" if is_expression => {
                diagnostic.hint("in YAML, a value that begins with `{{` stands in quotes")
            }
            _ => diagnostic,
        });
    }
    value
}

#[cfg(not(feature = "yaml"))]
fn read_yaml_tree(_text: &str, diagnostics: &mut Diagnostics) -> Option<Value> {
    diagnostics.push(
        Diagnostic::error("yaml.unsupported", "", "this build does not read YAML")
            .hint("write the workflow as JSON, or build flowcore with the feature `yaml`"),
    );
    None
}

fn json_error(text: &str, error: &JsonError) -> Diagnostic {
    let at = error.offset.min(text.len());
    let diagnostic = Diagnostic::error(error.kind.code(), "", error.to_string())
        .at_text(at..at + token_length(&text[at..]));
    match json_hint(text, at, &error.kind) {
        Some(hint) => diagnostic.hint(hint),
        None => diagnostic,
    }
}

/// The bytes of the word, number or sign that a text begins with.
fn token_length(rest: &str) -> usize {
    let word = |c: char| c.is_alphanumeric() || "_-+.".contains(c);
    match rest.find(|c| !word(c)).unwrap_or(rest.len()) {
        0 => rest.chars().next().map_or(0, char::len_utf8),
        length => length,
    }
}

const COMMENTS: &str = "workflow files are strict JSON; write YAML for comments";

fn json_hint(text: &str, at: usize, kind: &JsonErrorKind) -> Option<&'static str> {
    let (before, rest) = (text[..at].trim_end(), &text[at..]);
    if !matches!(kind, JsonErrorKind::Expected(_) | JsonErrorKind::Trailing) {
        return hint_of_kind(kind);
    }
    if before.is_empty() && rest.starts_with(|c: char| c.is_alphabetic() || c == '-') {
        return Some("this looks like YAML: name the file `.yaml`");
    }
    if rest.starts_with("//") || rest.starts_with("/*") || rest.starts_with('#') {
        return Some(COMMENTS);
    }
    if before.ends_with(',') && rest.starts_with(['}', ']']) {
        return Some("workflow files are strict JSON: no comma after the last entry");
    }
    rest.starts_with('\'').then_some("JSON writes strings in double quotes")
}

fn hint_of_kind(kind: &JsonErrorKind) -> Option<&'static str> {
    match kind {
        JsonErrorKind::UnexpectedEnd(_) => Some("is the file complete?"),
        JsonErrorKind::IntegerTooLarge => {
            Some("integers have at most 64 bits; write a larger one as a string")
        }
        JsonErrorKind::ControlCharacter => Some("write a new line in a string as `\\n`"),
        JsonErrorKind::BadEscape => Some("write a backslash in a string as `\\\\`"),
        _ => None,
    }
}

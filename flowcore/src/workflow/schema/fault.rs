//! What is wrong with a value.

use crate::value::{Value, unescape_pointer};
use crate::workflow::diagnostic::nearest;

/// In which way a value does not satisfy a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SchemaErrorKind {
    /// An object has a key that it may not have.
    UnknownKey,
    /// An object lacks a key that it must have.
    MissingKey,
    /// A value is of another type.
    WrongType,
    /// A value is none of those allowed.
    NotAllowed,
    /// A number, a text, an array or an object is too small or too large.
    OutOfRange,
    /// The schema takes too many steps to check.
    TooCostly,
}

impl SchemaErrorKind {
    /// The code of this error in the config of a node.
    pub fn config_code(self) -> &'static str {
        match self {
            Self::UnknownKey => "config.unknown_key",
            Self::MissingKey => "config.missing_key",
            Self::WrongType => "config.wrong_type",
            Self::NotAllowed => "config.not_allowed",
            Self::OutOfRange => "config.out_of_range",
            Self::TooCostly => "config.too_costly",
        }
    }

    /// The code of this error in the inputs of an execution.
    pub fn input_code(self) -> &'static str {
        match self {
            Self::UnknownKey => "input.unknown_key",
            Self::MissingKey => "input.missing_key",
            Self::WrongType => "input.wrong_type",
            Self::NotAllowed => "input.not_allowed",
            Self::OutOfRange => "input.out_of_range",
            Self::TooCostly => "input.too_costly",
        }
    }
}

/// One thing wrong with a value.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SchemaError {
    /// Where, as a JSON pointer from the value that was checked.
    pub pointer: String,
    /// In which way.
    pub kind: SchemaErrorKind,
    /// A lowercase fragment that names the place and what is there.
    pub message: String,
    /// What was expected instead.
    pub expected: Option<String>,
    /// The nearest thing that is allowed: "did you mean".
    pub suggestion: Option<String>,
}

/// A [`SchemaError`] under construction; those of several alternatives can be merged.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fault {
    pub(super) kind: SchemaErrorKind,
    pub(super) pointer: String,
    /// The fragment after the name of the place: "is a number".
    pub(super) found: String,
    /// What would be right, as alternatives.
    pub(super) expected: Vec<String>,
    /// The text for which `candidates` may hold what was meant.
    pub(super) word: Option<String>,
    pub(super) candidates: Vec<String>,
}

impl Fault {
    pub(super) fn new(kind: SchemaErrorKind, pointer: String, found: String) -> Self {
        Self { kind, pointer, found, expected: Vec::new(), word: None, candidates: Vec::new() }
    }

    pub(super) fn expected(mut self, expected: Vec<String>) -> Self {
        self.expected = expected;
        self
    }

    pub(super) fn suggest(mut self, word: &str, candidates: Vec<String>) -> Self {
        self.word = Some(word.to_owned());
        self.candidates = candidates;
        self
    }

    /// Takes over what would be right by another alternative.
    pub(super) fn merge(&mut self, other: &Self) {
        let add = |to: &mut Vec<String>, from: &[String]| {
            for text in from {
                if !to.contains(text) {
                    to.push(text.clone());
                }
            }
        };
        add(&mut self.expected, &other.expected);
        add(&mut self.candidates, &other.candidates);
        self.word = self.word.take().or_else(|| other.word.clone());
    }

    pub(super) fn into_error(self, root: &str) -> SchemaError {
        let about = match self.kind {
            SchemaErrorKind::UnknownKey => self.pointer.rsplit_once('/').map_or("", |(up, _)| up),
            _ => &self.pointer,
        };
        let message = format!("{} {}", name_of(about, root), self.found);
        let candidates = self.candidates.iter().map(String::as_str);
        let suggestion = self.word.as_deref().and_then(|word| {
            let same = self.candidates.iter().find(|other| other.eq_ignore_ascii_case(word));
            same.map(String::as_str).or_else(|| nearest(word, candidates)).map(str::to_owned)
        });
        let expected = (!self.expected.is_empty()).then(|| join(&self.expected));
        SchemaError { pointer: self.pointer, kind: self.kind, message, expected, suggestion }
    }
}

/// The value at a pointer as people write it: "`items[0].url`".
fn name_of(pointer: &str, root: &str) -> String {
    if pointer.is_empty() {
        return root.to_owned();
    }
    let mut name = String::new();
    for token in pointer.split('/').skip(1).map(unescape_pointer) {
        if !name.is_empty() && token.bytes().all(|byte| byte.is_ascii_digit()) {
            name += &format!("[{token}]");
        } else {
            name += if name.is_empty() { "" } else { "." };
            name += &token;
        }
    }
    format!("`{name}`")
}

/// "a, b or c".
fn join(texts: &[String]) -> String {
    match texts {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

/// A value in a message, not longer than a line.
pub(super) fn show(value: &Value) -> String {
    const LONGEST: usize = 60;
    let text = match value.as_str() {
        Some(text) if !value.is_tainted() => text.to_owned(),
        _ => value.to_json_text(),
    };
    if text.chars().count() <= LONGEST {
        return format!("`{text}`");
    }
    format!("`{}…`", text.chars().take(LONGEST).collect::<String>())
}

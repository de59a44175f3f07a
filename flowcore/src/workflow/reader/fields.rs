//! A cursor over the keys of one object.

use std::collections::HashSet;
use std::fmt::{Display, Write as _};

use super::super::path::Path;
use super::super::{Diagnostic, Diagnostics};
use crate::value::{Object, Value};

/// The codes of one kind of object.
#[derive(Debug)]
pub struct Area {
    /// A key that such objects do not have.
    pub unknown_key: &'static str,
    /// A key that they must have is left out.
    pub missing_key: &'static str,
    /// A value of another type.
    pub wrong_type: &'static str,
    /// A value that is none of those allowed.
    pub bad_value: &'static str,
    /// A number that is too small or too large.
    pub out_of_range: &'static str,
}

pub(super) const WORKFLOW: Area = Area {
    unknown_key: "workflow.unknown_key",
    missing_key: "workflow.missing_key",
    wrong_type: "workflow.wrong_type",
    bad_value: "workflow.bad_value",
    out_of_range: "workflow.out_of_range",
};
pub(super) const NODE: Area = Area {
    unknown_key: "node.unknown_key",
    missing_key: "node.missing_key",
    wrong_type: "node.wrong_type",
    bad_value: "node.bad_value",
    out_of_range: "node.out_of_range",
};
pub(super) const CONNECTION: Area = Area {
    unknown_key: "connection.unknown_key",
    missing_key: "connection.missing_key",
    wrong_type: "connection.wrong_type",
    bad_value: "connection.bad_value",
    out_of_range: "connection.out_of_range",
};
pub(super) const TRIGGER: Area = Area {
    unknown_key: "trigger.unknown_key",
    missing_key: "trigger.missing_key",
    wrong_type: "trigger.wrong_type",
    bad_value: "trigger.bad_value",
    out_of_range: "trigger.out_of_range",
};
pub(super) const SETTINGS: Area = Area {
    unknown_key: "settings.unknown_key",
    missing_key: "settings.missing_key",
    wrong_type: "settings.wrong_type",
    bad_value: "settings.bad_value",
    out_of_range: "settings.out_of_range",
};

/// A file with more problems than this has one problem that matters, and a hostile one must not
/// cost more memory than its size.
pub(crate) const MAX_PROBLEMS: usize = 1_000;

/// The problems found so far.
#[derive(Debug, Default)]
pub struct Problems {
    found: Diagnostics,
    unread: Unread,
    left_out: usize,
}

/// What could not be read, and so must not be judged by later checks.
#[derive(Debug, Default)]
pub(crate) struct Unread {
    pointers: HashSet<String>,
    /// Whether there is more.
    pub(crate) more: bool,
}

impl Unread {
    /// Whether the value at a JSON pointer, or one around it, could not be read.
    pub(crate) fn covers(&self, pointer: &str) -> bool {
        let mut at = pointer;
        loop {
            if self.pointers.contains(at) {
                return true;
            }
            let Some((parent, _)) = at.rsplit_once('/') else { return false };
            at = parent;
        }
    }
}

impl Problems {
    /// Adds one about a value; it is made only while there is room.
    pub fn report(&mut self, problem: impl FnOnce() -> Diagnostic) {
        if self.found.len() < MAX_PROBLEMS {
            let problem = problem();
            self.unread.pointers.insert(problem.pointer.clone());
            self.found.push(problem);
        } else {
            self.left_out += 1;
        }
    }

    /// Adds one about a key that is not there.
    fn report_missing(&mut self, path: &Path<'_>, key: &str, problem: impl FnOnce() -> Diagnostic) {
        let around = path.pointer();
        let is_known = self.unread.pointers.contains(&around);
        self.report(problem);
        self.unread.pointers.insert(path.key(key).pointer());
        if !is_known {
            self.unread.pointers.remove(&around);
        }
    }

    /// All of them, with a note about those left out, and what could not be read.
    pub(crate) fn finish(mut self) -> (Diagnostics, Unread) {
        if self.left_out > 0 {
            self.unread.more = true;
            self.found.push(too_many_problems(self.left_out));
        }
        (self.found, self.unread)
    }
}

/// A note, at the end of the text, about problems that are not listed.
pub(crate) fn too_many_problems(left_out: usize) -> Diagnostic {
    let message = format!("{left_out} more problems are not listed");
    let note = Diagnostic::error("workflow.too_many_problems", "", message);
    note.at_text(usize::MAX..usize::MAX)
}

/// Other words for keys, which no count of wrong letters would find.
const SYNONYMS: &[(&str, &str)] = &[
    ("type", "node_type"),
    ("kind", "node_type"),
    ("uses", "node_type"),
    ("parameters", "config"),
    ("params", "config"),
    ("with", "config"),
    ("from", "from_node"),
    ("source", "from_node"),
    ("to", "to_node"),
    ("target", "to_node"),
    ("cron", "expression"),
    ("schedule", "expression"),
    ("tz", "timezone"),
    ("retry", "retry_policy"),
    ("retries", "retry_policy"),
    ("timeout", "timeout_ms"),
    ("if", "when"),
    ("condition", "when"),
    ("steps", "nodes"),
    ("tasks", "nodes"),
    ("jobs", "nodes"),
    ("edges", "connections"),
    ("links", "connections"),
    ("variables", "inputs"),
    ("on", "triggers"),
    ("event_type", "name"),
];

/// The keys of one object, read by name.
pub struct Fields<'a, 'p> {
    object: &'a Object,
    /// Where the object stands.
    pub path: &'a Path<'a>,
    area: &'static Area,
    /// What messages call the object: "node `fetch`".
    name: &'a dyn Display,
    /// Where problems go.
    pub problems: &'p mut Problems,
}

impl<'a, 'p> Fields<'a, 'p> {
    /// The fields of `value`, unless it is no object.
    pub fn of(
        value: &'a Value,
        path: &'a Path<'a>,
        area: &'static Area,
        name: &'a dyn Display,
        problems: &'p mut Problems,
    ) -> Option<Self> {
        let Some(object) = value.as_object() else {
            problems.report(|| {
                let message = format!("{name} is {}", value.kind());
                Diagnostic::error(area.wrong_type, path.pointer(), message).expected("an object")
            });
            return None;
        };
        Some(Self { object, path, area, name, problems })
    }

    /// Reports the keys that are neither among these nor begin with `x-`.
    pub fn only(mut self, keys: &[&str]) -> Self {
        for key in self.object.keys() {
            if !keys.contains(&&**key) && !is_extension(key) {
                self.unknown_key(key, keys);
            }
        }
        self
    }

    fn unknown_key(&mut self, key: &str, keys: &[&str]) {
        let (area, name, path) = (self.area, self.name, self.path);
        self.problems.report(|| {
            let message = format!("{name} has no key `{key}`");
            let mut problem = Diagnostic::error(area.unknown_key, path.key(key).pointer(), message)
                .at_key()
                .suggest(key, keys.iter().copied());
            let synonym =
                SYNONYMS.iter().find(|(word, meant)| *word == key && keys.contains(meant));
            if let Some((_, meant)) = synonym {
                problem.suggestion = Some((*meant).to_owned());
            }
            problem.expected(list(keys))
        });
    }

    /// The keys that begin with `x-`.
    pub(super) fn extensions(&self) -> Object {
        let own = self.object.iter().filter(|(key, _)| is_extension(key));
        Object::from_entries(own.map(|(key, value)| (key.clone(), value.clone())))
            .expect("a part of an object is not deeper than the object")
    }

    /// The value of a key, unless it is left out or null.
    pub fn value(&self, key: &str) -> Option<&'a Value> {
        self.object.get(key).filter(|value| !value.is_null())
    }

    /// Reports a required key that is left out.
    pub fn require(&mut self, key: &'static str, expected: &str) {
        if self.object.contains_key(key) && self.value(key).is_none() {
            self.wrong_type(key, expected);
        } else if !self.object.contains_key(key) {
            let (area, name, path) = (self.area, self.name, self.path);
            self.problems.report_missing(path, key, || {
                Diagnostic::error(
                    area.missing_key,
                    path.pointer(),
                    format!("{name} has no `{key}`"),
                )
                .expected(expected)
            });
        }
    }

    /// Reports a value that is not of the expected type.
    pub fn wrong_type(&mut self, key: &str, expected: &str) {
        let kind = self.object.get(key).map_or("missing", Value::kind);
        self.report(key, self.area.wrong_type, &format_args!("is {kind}"), expected);
    }

    /// Reports something about the value of a key.
    pub fn report(&mut self, key: &str, code: &'static str, what: &dyn Display, expected: &str) {
        let (name, path) = (self.name, self.path);
        self.problems.report(|| {
            let message = format!("`{key}` of {name} {what}");
            Diagnostic::error(code, path.key(key).pointer(), message).expected(expected)
        });
    }

    fn typed<T>(
        &mut self,
        key: &str,
        expected: &str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Option<T> {
        let value = self.value(key)?;
        let read = read(value);
        if read.is_none() {
            self.wrong_type(key, expected);
        }
        read
    }

    /// A string. `None` when it is left out, or reported as something else.
    pub fn string(&mut self, key: &str) -> Option<&'a str> {
        self.typed(key, "a string", Value::as_str)
    }

    /// True or false. `None` when it is left out, or reported as something else.
    pub fn bool(&mut self, key: &str) -> Option<bool> {
        self.typed(key, "true or false", Value::as_bool)
    }

    /// Any number. `None` when it is left out, or reported as something else.
    pub fn float(&mut self, key: &str) -> Option<f64> {
        self.typed(key, "a number", Value::as_f64)
    }

    /// An object. `None` when it is left out, or reported as something else.
    pub fn object(&mut self, key: &str) -> Option<&'a Object> {
        self.typed(key, "an object", Value::as_object)
    }

    /// The items of an array; none when it is left out.
    pub fn items(&mut self, key: &str) -> &'a [Value] {
        self.typed(key, "an array", Value::as_array).map_or(&[], |array| array)
    }

    /// A whole number of 64 bits, not negative.
    pub fn u64(&mut self, key: &str) -> Option<u64> {
        self.integer(key, u64::MAX)
    }

    /// A whole number of 32 bits, not negative.
    pub fn u32(&mut self, key: &str) -> Option<u32> {
        self.integer(key, u32::MAX.into()).and_then(|number| number.try_into().ok())
    }

    fn integer(&mut self, key: &str, most: u64) -> Option<u64> {
        const EXPECTED: &str = "a whole number, 0 or more";
        let number = self.typed(key, EXPECTED, Value::as_number)?;
        match (number.as_u64(), number.as_f64().fract() == 0.0) {
            (Some(number), _) if number <= most => return Some(number),
            (_, true) => {
                let expected = format!("a whole number from 0 to {most}");
                self.report(key, self.area.out_of_range, &format_args!("is {number}"), &expected);
            }
            (_, false) => {
                self.report(key, self.area.wrong_type, &format_args!("is {number}"), EXPECTED);
            }
        }
        None
    }

    /// One of a few words.
    pub fn choice<T: Copy>(&mut self, key: &str, choices: &[(&str, T)]) -> Option<T> {
        let word = self.string(key)?;
        let choice = choices.iter().find(|(name, _)| *name == word);
        if choice.is_none() {
            self.bad_choice(key, word, &choices.iter().map(|(name, _)| *name).collect::<Vec<_>>());
        }
        choice.map(|(_, value)| *value)
    }

    /// Reports a word that is none of those known.
    pub fn bad_choice(&mut self, key: &str, word: &str, choices: &[&str]) {
        let (area, name, path) = (self.area, self.name, self.path);
        self.problems.report(|| {
            let message = format!("`{key}` of {name} is `{word}`");
            let mut problem = Diagnostic::error(area.bad_value, path.key(key).pointer(), message)
                .expected(list(choices))
                .suggest(word, choices.iter().copied());
            let same = choices.iter().find(|choice| choice.eq_ignore_ascii_case(word));
            problem.suggestion = same.map(|same| (*same).to_owned()).or(problem.suggestion);
            problem
        });
    }
}

fn is_extension(key: &str) -> bool {
    key.starts_with("x-")
}

/// "`a`, `b` or `c`".
fn list(names: &[&str]) -> String {
    let mut text = String::new();
    for (index, name) in names.iter().enumerate() {
        let separator = match index {
            0 => "",
            _ if index + 1 == names.len() => " or ",
            _ => ", ",
        };
        write!(text, "{separator}`{name}`").expect("writing to a string does not fail");
    }
    text
}

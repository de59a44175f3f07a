//! Workflows of other systems, turned into workflows of Flow.
//!
//! An importer reads a tree of values and gives another one, with a note for everything that did not
//! come over as it was. It refuses only what is no file of that system at all: what it cannot carry
//! over it leaves out and says so, or keeps and lets the checks of the result speak.

pub(crate) mod dataflow;
pub(crate) mod flowengine;
mod ids;
mod parts;

use flowcore::Value;

/// What came of a file.
pub(crate) struct Imported {
    /// The workflow, as a tree of values.
    pub(crate) workflow: Value,
    /// What happened to the parts of the file.
    pub(crate) notes: Vec<Note>,
}

/// What happened to a part of a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Note {
    /// The JSON pointer of the part.
    pub(crate) pointer: String,
    pub(crate) fate: Fate,
    /// What happened and why.
    pub(crate) text: String,
}

/// How a part came over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// As it was.
    Carried,
    /// In another form, or with another meaning.
    Changed,
    /// Not at all.
    Left,
}

impl Fate {
    /// As the report says it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Carried => "carried over",
            Self::Changed => "changed",
            Self::Left => "not carried over",
        }
    }
}

/// Why a file is none of that system.
#[derive(Debug)]
pub(crate) struct Unrecognised {
    /// The JSON pointer of what is wrong.
    pub(crate) pointer: String,
    /// What is wrong.
    pub(crate) problem: String,
}

/// Notes under construction.
#[derive(Default)]
struct Notes(Vec<Note>);

impl Notes {
    fn carried(&mut self, pointer: impl Into<String>, text: impl Into<String>) {
        self.add(pointer.into(), Fate::Carried, text.into());
    }

    fn changed(&mut self, pointer: impl Into<String>, text: impl Into<String>) {
        self.add(pointer.into(), Fate::Changed, text.into());
    }

    fn left(&mut self, pointer: impl Into<String>, text: impl Into<String>) {
        self.add(pointer.into(), Fate::Left, text.into());
    }

    fn add(&mut self, pointer: String, fate: Fate, text: String) {
        self.0.push(Note { pointer, fate, text });
    }
}

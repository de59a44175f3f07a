//! A place in a tree of values.

use crate::value::escape_pointer;

/// A place in a tree of values; becomes a JSON pointer only when something is wrong there.
#[derive(Debug, Clone, Copy)]
pub enum Path<'a> {
    /// The whole.
    Root,
    /// The member of an object.
    Key(&'a Path<'a>, &'a str),
    /// The item of an array.
    Index(&'a Path<'a>, usize),
}

impl<'a> Path<'a> {
    /// The member with this key.
    #[must_use]
    pub fn key(&'a self, key: &'a str) -> Self {
        Self::Key(self, key)
    }

    /// The item at this position.
    #[must_use]
    pub fn index(&'a self, index: usize) -> Self {
        Self::Index(self, index)
    }

    /// As a JSON pointer.
    pub fn pointer(&self) -> String {
        match self {
            Self::Root => String::new(),
            Self::Key(parent, key) => format!("{}/{}", parent.pointer(), escape_pointer(key)),
            Self::Index(parent, index) => format!("{}/{index}", parent.pointer()),
        }
    }
}

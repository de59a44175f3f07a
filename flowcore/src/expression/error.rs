//! What can be wrong with an expression.

use std::ops::Range;

use crate::node::NodeError;

/// Why an expression does not compile, or failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ExpressionError {
    /// The stable code, such as `expression.unknown_name`.
    pub code: &'static str,
    /// A lowercase fragment that names the thing.
    pub message: String,
    /// The bytes of the text that it is about.
    pub range: Range<usize>,
    /// The nearest thing that exists.
    pub suggestion: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
}

impl ExpressionError {
    pub(crate) fn new(code: &'static str, range: Range<usize>, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), range, suggestion: None, hint: None }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn suggest(mut self, suggestion: Option<&str>) -> Self {
        self.suggestion = suggestion.map(str::to_owned);
        self
    }

    /// Moves the place, for an expression that is part of a longer text.
    pub(crate) fn shifted(mut self, by: usize) -> Self {
        self.range = self.range.start + by..self.range.end + by;
        self
    }
}

/// At run time a failing expression fails its node, and another attempt would fail again.
impl From<ExpressionError> for NodeError {
    fn from(error: ExpressionError) -> Self {
        let node_error = Self::new(error.code, error.message);
        match error.hint {
            Some(hint) => node_error.with_hint(hint),
            None => node_error,
        }
    }
}

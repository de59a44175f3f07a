//! What decides whether a node runs.

use super::compile::Expression;
use super::logic::Logic;

/// A compiled `when`.
#[derive(Debug)]
pub(crate) enum Condition {
    /// Written as a text: it gives true, false or null, and anything else is an error.
    Expression(Expression),
    /// Written as an object: it gives anything, and JSONLogic says what counts as true.
    Logic(Box<Logic>),
}

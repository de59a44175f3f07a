//! What decides whether a node runs.

use super::compile::Expression;
use super::logic::Logic;
use super::slot::Slot;
use crate::node::NodeError;
use crate::value::Value;

/// A compiled `when`.
#[derive(Debug)]
pub(crate) enum Condition {
    /// Written as a text: it gives true, false or null, and anything else is an error.
    Expression(Expression),
    /// Written as an object: it gives anything, and JSONLogic says what counts as true.
    Logic(Box<Logic>),
}

impl Condition {
    /// Whether it holds; `lookup` gives what it reads, and `name` stands in the error.
    pub(crate) fn holds(
        &self,
        name: &str,
        lookup: &mut dyn FnMut(&Slot) -> Option<Value>,
    ) -> Result<bool, NodeError> {
        match self {
            Self::Expression(expression) => truth(name, &super::evaluate(expression, lookup)?),
            Self::Logic(rule) => Ok(rule.holds(lookup)?),
        }
    }
}

/// Whether what an expression gave lets something run.
pub(crate) fn truth(condition: &str, value: &Value) -> Result<bool, NodeError> {
    match value.untainted() {
        Value::Bool(holds) => Ok(*holds),
        Value::Null => Ok(false),
        other => Err(NodeError::new(
            "when.not_boolean",
            format!("`{condition}` gives {} instead of true or false", other.kind()),
        )),
    }
}

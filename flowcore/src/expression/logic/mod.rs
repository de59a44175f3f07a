//! JSONLogic: rules that are JSON, for `when` and for nodes.
//!
//! The rules are those of `datalogic-rs`. What Flow adds is strictness: an operator that does not
//! exist is found when the rule is compiled, at its place; a rule that fails is an error and never
//! false; and an evaluation has a budget. No operator reads a clock or is random.

mod data;
mod engine;
mod evaluate;
mod rule;
#[cfg(test)]
mod tests;

use std::fmt;

use super::compile::Expression;
use super::error::ExpressionError;
use super::slot::Roots;
use crate::value::Value;
use data::Tree;

/// A compiled rule.
pub struct Logic {
    compiled: datalogic_rs::Logic,
    /// Everything that the rule reads, in the order of the rule.
    reads: Box<[Read]>,
    /// Where what is read stands in the data of the rule.
    tree: Tree,
}

/// A path that a rule reads.
pub(crate) struct Read {
    /// The JSON pointer, below the rule, of the path.
    pub(crate) pointer: String,
    /// Whether the path is written as the expression is, so that places in one are places in the
    /// other.
    pub(crate) is_verbatim: bool,
    /// The same path as an expression; `None` where a rule reads its data by itself.
    pub(crate) expression: Option<Expression>,
    path: Box<[std::sync::Arc<str>]>,
}

/// What is wrong with a rule, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogicProblem {
    /// The JSON pointer, below the rule, of what is wrong.
    pub pointer: String,
    /// Whether it is about the key of what the pointer leads to.
    pub at_key: bool,
    /// What is wrong; its range is within the string that the pointer leads to.
    pub error: ExpressionError,
}

impl fmt::Display for LogicProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if self.pointer.is_empty() { "/" } else { &self.pointer };
        write!(f, "{} (at {place})", self.error)
    }
}

impl Logic {
    /// Compiles a rule over a value that is given with each evaluation; `var` paths lead into it.
    ///
    /// # Errors
    /// Every problem of the rule.
    pub fn compile(rule: &Value) -> Result<Self, Vec<LogicProblem>> {
        rule::compile(rule, rule::Scope::Data)
    }

    /// Compiles a rule whose `var` paths begin with the names of a workflow file, as those of
    /// expressions do.
    pub(crate) fn compile_in_workflow(
        rule: &Value,
        roots: Roots<'_>,
    ) -> Result<Self, Vec<LogicProblem>> {
        rule::compile(rule, rule::Scope::Workflow(roots))
    }

    pub(crate) fn reads_mut(&mut self) -> &mut [Read] {
        &mut self.reads
    }

    /// The names of all operators.
    pub fn operators() -> &'static [&'static str] {
        engine::operators()
    }
}

impl fmt::Debug for Logic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paths: Vec<String> = self.reads.iter().map(|read| read.path.join(".")).collect();
        f.debug_struct("Logic").field("reads", &paths).finish_non_exhaustive()
    }
}

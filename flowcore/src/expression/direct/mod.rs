//! Evaluating simple expressions without the interpreter.
//!
//! To set the interpreter up costs some thousands of instructions, and what most expressions do costs
//! ten: a comparison, a sum, a text of two pieces. Those are also compiled into a small tree, which
//! is evaluated over Flow's own values.
//!
//! The law: a value that comes from here is the one that the interpreter gives. Everything else, an
//! error above all, is [`None`], and then the interpreter is asked, which is slower and right. So
//! there is one place where errors are made, and whatever is rare or odd can be left out here: a
//! construct by the parser, a pair of kinds by the evaluation.

mod evaluate;
mod filter;
mod operate;
mod parse;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use super::compile::Segment;
use crate::value::Value;
use filter::Filter;
use operate::Operator;
pub(super) use parse::{Root, parse};

/// An expression as a tree.
pub(super) enum Direct {
    Constant(Value),
    /// The value of a slot, and what follows it.
    Path {
        slot: usize,
        segments: Box<[Segment]>,
    },
    /// `value[key]`, where the key is computed or the value is no slot.
    Item(Box<(Direct, Direct)>),
    Not(Box<Direct>),
    Negative(Box<Direct>),
    And(Box<(Direct, Direct)>),
    Or(Box<(Direct, Direct)>),
    Binary(Operator, Box<(Direct, Direct)>),
    /// `a ~ b ~ c`.
    Text(Vec<Direct>),
    Choice(Box<Choice>),
    Array(Box<[Direct]>),
    /// Its keys are in order, as those of the interpreter are.
    Object(Box<[(Arc<str>, Direct)]>),
    /// `value | default(other)`.
    Default(Box<(Direct, Direct)>),
    Filter(Filter, Box<Direct>),
    IsDefined(Box<Direct>),
    IsNone(Box<Direct>),
}

/// `then if condition else otherwise`.
pub(super) struct Choice {
    condition: Direct,
    then: Direct,
    otherwise: Direct,
}

//! The expression language: one everywhere, in `{{ }}`, in `when`, and inside nodes.
//!
//! An expression is compiled when the workflow is loaded. What it reads is known from then on: each
//! thing is a [`Slot`], and evaluation gets one value per slot. So the same expression runs in the
//! machine, in an attempt, and on another computer.
//!
//! The language is Jinja's expressions as `minijinja` compiles them: total, without I/O, clock or
//! randomness, strict about undefined, and with a fuel limit.

mod bounded;
mod bridge;
mod builtins;
mod compare;
mod compile;
mod condition;
mod convert;
mod direct;
mod error;
mod evaluate;
mod logic;
mod scan;
mod slot;
mod template;

pub use compile::{Expression, MAX_EXPRESSION_LENGTH};
pub(crate) use condition::{Condition, truth};
pub(crate) use convert::conversion_hint;
pub use error::ExpressionError;
pub use logic::{Logic, LogicProblem};
pub use slot::{NodeSlot, Roots, Slot};
pub(crate) use template::evaluate;
pub use template::{Piece, Template};

pub use builtins::{filters, functions, tests};

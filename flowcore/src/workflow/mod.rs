//! The workflow definition and what can be wrong with it.

mod builder;
mod check;
mod codes;
mod definition;
mod diagnostic;
mod inputs;
mod place;
mod reader;
mod source;
mod writer;

pub use check::{Checked, check};
pub use codes::{CODES, CodeDoc, explain_code};
pub use definition::{
    Connection, Durability, InputSpec, Join, NodeSpec, OnError, Position, RetryPolicy, Settings,
    Trigger, TriggerKind, Workflow, WorkflowSpec,
};
pub use diagnostic::{Diagnostic, Diagnostics, Location, Severity, nearest};
pub use inputs::resolve_inputs;
pub use reader::read_workflow;
pub use source::{Format, Source};

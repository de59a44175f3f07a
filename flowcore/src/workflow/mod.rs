//! The workflow definition and what can be wrong with it.

mod builder;
mod definition;
mod diagnostic;

pub use definition::{
    Connection, Durability, InputSpec, Join, NodeSpec, OnError, Position, RetryPolicy, Settings,
    Trigger, TriggerKind, Workflow, WorkflowSpec,
};
pub(crate) use diagnostic::nearest;
pub use diagnostic::{Diagnostic, Diagnostics, Location, Severity};

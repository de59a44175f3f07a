//! What an expression reads.

use std::sync::Arc;

use crate::control::Local;

/// One thing that an expression reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Slot {
    /// `inputs`: all inputs of the execution.
    Inputs,
    /// `inputs.<name>`.
    Input(Arc<str>),
    /// `nodes.<id>.<port>`.
    Node(NodeSlot),
    /// `input.<port>`: an input port of the node itself.
    Port(Arc<str>),
    /// `execution.<field>`.
    Execution(Arc<str>),
    /// `workflow.<field>`.
    Workflow(Arc<str>),
    /// `secrets.<name>`.
    Secret(Arc<str>),
    /// A name that whoever evaluates the expression gives.
    Local(Arc<str>),
    /// `item`, `index`, `state` or `error`: what a control node gives what stands inside of it.
    Scope(Local),
}

/// An output port of another node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSlot {
    /// The node's id.
    pub id: Arc<str>,
    /// The port's name.
    pub port: Arc<str>,
    /// The node's index in its graph, once the plan knows it.
    pub(crate) node: u32,
}

/// Which names an expression may use.
#[derive(Debug, Clone, Copy)]
pub enum Roots<'a> {
    /// Those of a workflow file: `inputs`, `nodes`, `input`, `execution`, `workflow`, `secrets`, and
    /// inside of control nodes `item`, `index`, `state` and `error`.
    Workflow,
    /// Only these.
    Names(&'a [&'a str]),
}

/// The names of a workflow file.
pub(crate) const WORKFLOW_ROOTS: [&str; 6] =
    ["inputs", "nodes", "input", "execution", "workflow", "secrets"];

/// The fields of `execution`.
pub(crate) const EXECUTION_FIELDS: [&str; 3] = ["id", "attempt", "started_at"];

/// The fields of `workflow`.
pub(crate) const WORKFLOW_FIELDS: [&str; 3] = ["id", "name", "version"];

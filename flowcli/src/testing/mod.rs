//! Tests of workflows: files of cases, each run with stand-ins, in virtual time.

pub(crate) mod check;
pub(crate) mod coverage;
pub(crate) mod difference;
mod expect;
pub(crate) mod file;
pub(crate) mod find;
pub(crate) mod junit;
mod reader;
mod recorder;
pub(crate) mod report;
pub(crate) mod schema;
pub(crate) mod stage;

/// The codes of test files.
pub(crate) mod codes {
    /// A pin gives an inline node a time.
    pub(crate) const INLINE: &str = "test.inline_takes_no_time";
    /// A pin names a control node.
    pub(crate) const CONTROL: &str = "test.pinned_control_node";
    /// Two cases have one name.
    pub(crate) const SAME_NAME: &str = "test.same_name";
    /// An address means no node.
    pub(crate) const NODE: &str = "test.unknown_node";
    /// A pin names a port that the node does not have.
    pub(crate) const PORT: &str = "test.unknown_port";
    /// An attempt would have touched the world.
    pub(crate) const NOT_PINNED: &str = "test.not_pinned";
}

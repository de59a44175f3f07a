//! One file per verb: its arguments and what it does.

pub(crate) mod completions;
pub(crate) mod executions;
pub(crate) mod explain;
pub(crate) mod graph;
pub(crate) mod how;
pub(crate) mod import;
pub(crate) mod init;
pub(crate) mod man;
pub(crate) mod nodes;
pub(crate) mod replay;
pub(crate) mod run;
pub(crate) mod schema;
pub(crate) mod test;
pub(crate) mod validate;
pub(crate) mod verify;

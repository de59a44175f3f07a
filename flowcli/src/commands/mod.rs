//! One file per verb: its arguments and what it does.

pub(crate) mod audit;
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
pub(crate) mod schedules;
pub(crate) mod schema;
pub(crate) mod secrets;
pub(crate) mod serve;
pub(crate) mod test;
pub(crate) mod tokens;
pub(crate) mod validate;
pub(crate) mod verify;
pub(crate) mod workflows;

//! What is known of an execution that is kept.

pub(crate) mod describe;
pub(crate) mod execution;
pub(crate) mod gantt;
pub(crate) mod node;

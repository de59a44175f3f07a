//! How statements fail, whatever the database.

use std::time::Duration;

use flowcore::{CancelReason, NodeError};

/// A failure with what the database said, unless a parameter is a secret that it may repeat.
pub(super) fn said(error: NodeError, text: &str, secret: bool) -> NodeError {
    if secret {
        return error.with_hint("what the database said is not shown: a parameter is a secret");
    }
    crate::error::with_cause(error, text)
}

/// The end of an attempt that took too long.
pub(super) fn timed_out(limit: Duration) -> NodeError {
    let message = format!("the statement took longer than {} ms", limit.as_millis());
    NodeError::retryable("sql.timeout", message).with_hint("raise `timeout_ms`")
}

/// The end of an attempt that was cancelled.
pub(super) fn cancelled(reason: CancelReason) -> NodeError {
    NodeError::new("node.cancelled", format!("the statement was stopped: {reason}"))
}

/// The statement goes on after its end.
pub(super) fn several_statements() -> NodeError {
    NodeError::new("sql.several_statements", "the query has more than one statement")
        .with_hint("give each statement a node of its own")
}

/// The code of a statement that was told to stop; who told it knows why.
pub(super) const STOPPED: &str = "sql.stopped";

/// The end of a statement that was told to stop.
pub(super) fn stopped() -> NodeError {
    NodeError::retryable(STOPPED, "the database stopped the statement")
}

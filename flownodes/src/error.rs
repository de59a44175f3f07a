//! What several nodes do with errors.

use std::error::Error;

use flowcore::NodeError;

/// A refusal of the policy names what it refuses; what came from a secret is not named.
pub(crate) fn without_secret(refusal: NodeError, secret: bool) -> NodeError {
    if !secret {
        return refusal;
    }
    let message = "the policy does not allow what a secret names here";
    NodeError::new(refusal.code().to_owned(), message)
        .with_hint("whoever runs the workflow decides what it may touch")
}

/// Adds a text as a cause, unless it is empty.
pub(crate) fn with_cause(error: NodeError, text: &str) -> NodeError {
    if text.is_empty() {
        return error;
    }
    let cause: Box<dyn Error> = text.into();
    error.with_source(&*cause)
}

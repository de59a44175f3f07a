//! What an execution is accepted with, as it is kept.

use flowcore::machine::Kept;
use flowcore::{Object, TraceContext};
use serde::{Deserialize, Serialize};

/// What an execution starts with besides its workflow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct StoredStart {
    /// The inputs, checked, defaults included.
    pub(crate) inputs: Object,
    /// Whether every node's outputs are kept for the result.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) keep_outputs: bool,
    /// Where relative paths start.
    pub(crate) directory: String,
    /// How many events led to it; see [`flowcore::Origin`].
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) hops: u32,
    /// Results of the execution that it runs again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) kept: Option<Box<Kept>>,
    /// The span that it was started in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) trace: Option<TraceContext>,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

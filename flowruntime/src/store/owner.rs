//! Who executes what.

use std::fmt;
use std::time::Duration;

use flowcore::{ExecutionId, Timestamp};
use uuid::Uuid;

/// A process that executes, from when it enters a store until it leaves or dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OwnerId(pub Uuid);

impl OwnerId {
    /// A new owner.
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }
}

impl Default for OwnerId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for OwnerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A process that has entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// Who it is.
    pub id: OwnerId,
    /// How long it counts as living after each [`super::Store::renew`]; `None` when the store knows by
    /// other means, and needs no renewing.
    pub lease: Option<Duration>,
}

/// An execution that was claimed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The execution.
    pub execution: ExecutionId,
    /// The fence, which is in every write.
    pub fence: u64,
}

/// What a claim gave.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claimed {
    /// The executions.
    pub executions: Vec<Claim>,
    /// When the next one is due that was not claimed, if a time is known. In the past when there were
    /// more than the limit.
    pub next_at: Option<Timestamp>,
}

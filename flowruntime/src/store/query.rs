//! Which executions are looked for, and which are kept.

use std::ops::AddAssign;
use std::time::Duration;

use flowcore::{ExecutionId, ExecutionStatus, ProjectId, Timestamp, WorkflowId};

/// Which executions are listed, the newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// Only those of this project.
    pub project: ProjectId,
    /// Only those of this workflow.
    pub workflow_id: Option<WorkflowId>,
    /// Only those with one of these statuses; empty is any.
    pub statuses: Vec<ExecutionStatus>,
    /// Only those that were accepted at this time or later.
    pub created_from: Option<Timestamp>,
    /// Only those that were accepted before this time.
    pub created_before: Option<Timestamp>,
    /// Only those that ended at this time or later.
    pub ended_from: Option<Timestamp>,
    /// Only those that come after this one in the list.
    pub after: Option<Cursor>,
    /// How many.
    pub limit: usize,
}

impl Default for Query {
    fn default() -> Self {
        Self {
            project: ProjectId::default(),
            workflow_id: None,
            statuses: Vec::new(),
            created_from: None,
            created_before: None,
            ended_from: None,
            after: None,
            limit: 100,
        }
    }
}

/// A place in the list of executions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// When the execution was accepted.
    pub created_at: Timestamp,
    /// The execution.
    pub id: ExecutionId,
}

/// What was forgotten, or would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pruned {
    /// How many executions.
    pub executions: u64,
    /// How many values that were kept apart, and that no other execution uses.
    pub blobs: u64,
    /// How many bytes of events, log lines and values. What a store needs around them is not counted.
    pub bytes: u64,
}

impl AddAssign for Pruned {
    fn add_assign(&mut self, other: Self) {
        self.executions += other.executions;
        self.blobs += other.blobs;
        self.bytes += other.bytes;
    }
}

/// How long ended executions are kept. With both, either is enough to go.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Retention {
    /// Those that ended longer ago go.
    pub max_age: Option<Duration>,
    /// Those beyond the newest so many go.
    pub max_count: Option<u64>,
}

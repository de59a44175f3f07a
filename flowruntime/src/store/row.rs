//! What a store keeps of an execution.

use std::sync::Arc;
use std::time::Duration;

use flowcore::{
    Digest, EVENT_FORMAT, ExecutionError, ExecutionId, ExecutionStatus, ProjectId, Timestamp,
    WorkflowId,
};

use super::audit::AuditEntry;
use super::owner::OwnerId;

/// An execution that is to be accepted.
#[derive(Debug, Clone, PartialEq)]
pub struct NewExecution {
    /// Its id.
    pub id: ExecutionId,
    /// The project that it belongs to.
    pub project: ProjectId,
    /// The id of its workflow.
    pub workflow_id: WorkflowId,
    /// The version of the saved workflow; `None` for one that was not saved.
    pub version: Option<u64>,
    /// What it runs.
    pub definition: Arc<Definition>,
    /// What it starts with, encoded.
    pub start: Vec<u8>,
    /// Values of the start that are kept apart.
    pub blobs: Vec<Blob>,
    /// Makes the start repeatable, within its project.
    pub key: Option<StartKey>,
    /// Who executes it; with `None` whoever claims it.
    pub owner: Option<OwnerId>,
    /// The execution that it runs again.
    pub rerun_of: Option<ExecutionId>,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// The version of the form of its events; see [`flowcore::EVENT_FORMAT`].
    pub format: u32,
    /// What the audit log says of it, if there is something to say. It is kept with the execution, or
    /// not at all, by stores that have such a log: those on a disk.
    pub audit: Option<AuditEntry>,
}

/// What executions run: a workflow, with those that it calls, as text. It never changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// The digest of the text.
    pub digest: Digest,
    /// The text.
    pub text: String,
}

/// A value that is kept apart, once however often it occurs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// The digest of the bytes.
    pub digest: Digest,
    /// The value, encoded.
    pub bytes: Arc<[u8]>,
}

/// How long a start key is known, from when its execution was accepted: a week.
pub const KEY_LIFE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// A key that makes a start repeatable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartKey {
    /// The key.
    pub key: String,
    /// What is started: the same key with another fingerprint is a mistake.
    pub fingerprint: Digest,
}

/// What became of a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// The execution is accepted.
    New,
    /// The start key was used for this execution before.
    Existing(ExecutionId),
}

/// How an execution stands.
#[derive(Debug, Clone, PartialEq)]
pub struct ExecutionRow {
    /// The execution.
    pub id: ExecutionId,
    /// The project that it belongs to.
    pub project: ProjectId,
    /// The id of its workflow.
    pub workflow_id: WorkflowId,
    /// The version of the saved workflow; `None` for one that was not saved.
    pub version: Option<u64>,
    /// What it runs.
    pub definition: Digest,
    /// Its status.
    pub status: ExecutionStatus,
    /// How often it was claimed.
    pub fence: u64,
    /// Who executes it.
    pub owner: Option<OwnerId>,
    /// The number of its last event.
    pub last_seq: u64,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When it started.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// When something is due by itself.
    pub wake_at: Option<Timestamp>,
    /// Why it did not succeed.
    pub error: Option<ExecutionError>,
    /// The execution that it runs again.
    pub rerun_of: Option<ExecutionId>,
    /// The version of the form of its events.
    pub format: u32,
}

impl ExecutionRow {
    /// An execution that has not begun, and that nobody executes.
    pub(crate) fn new(
        id: ExecutionId,
        project: ProjectId,
        workflow_id: WorkflowId,
        definition: Digest,
        created_at: Timestamp,
    ) -> Self {
        Self {
            id,
            project,
            workflow_id,
            version: None,
            definition,
            status: ExecutionStatus::Queued,
            fence: 0,
            owner: None,
            last_seq: 0,
            created_at,
            started_at: None,
            ended_at: None,
            wake_at: None,
            error: None,
            rerun_of: None,
            format: EVENT_FORMAT,
        }
    }

    /// An execution that is accepted in this moment.
    pub(crate) fn accepted(new: &NewExecution) -> Self {
        let NewExecution { id, project, workflow_id, definition, created_at, .. } = new;
        let (project, workflow_id) = (project.clone(), workflow_id.clone());
        Self {
            version: new.version,
            fence: u64::from(new.owner.is_some()),
            owner: new.owner,
            rerun_of: new.rerun_of,
            format: new.format,
            ..Self::new(*id, project, workflow_id, definition.digest, *created_at)
        }
    }
}

/// All that is kept of an execution, but for its blobs and the lines of its log.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    /// How it stands.
    pub row: ExecutionRow,
    /// What it was accepted with: [`NewExecution::start`].
    pub start: Vec<u8>,
    /// Its journal, in order.
    pub segments: Vec<Segment>,
    /// The number of the last line that a node wrote; 0 when there is none.
    pub last_line: u64,
}

/// Events that were written in one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// The number of the first event.
    pub first_seq: u64,
    /// The number of the last event.
    pub last_seq: u64,
    /// The events, encoded.
    pub bytes: Vec<u8>,
}

/// How busy a store is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreMetrics {
    /// How many connections there may be.
    pub connections: usize,
    /// How many of them are in use.
    pub in_use: usize,
    /// How many requests wait.
    pub waiting: usize,
    /// How many transactions were committed, each with one flush.
    pub commits: u64,
    /// How many appends they held.
    pub appends: u64,
}

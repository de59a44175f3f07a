//! What an owner writes.

use flowcore::{ExecutionError, ExecutionId, ExecutionStatus, Timestamp};
use serde::{Deserialize, Serialize};

use super::message::MessageId;
use super::row::Blob;

/// An addition to the journal of an execution, and what becomes of its row.
#[derive(Debug, Clone, PartialEq)]
pub struct Append {
    /// The execution.
    pub execution: ExecutionId,
    /// The fence that its owner has.
    pub fence: u64,
    /// The number of the first event: that of the last one that is kept, plus 1.
    pub first_seq: u64,
    /// The number of the last event; `first_seq - 1` when there are none.
    pub last_seq: u64,
    /// The events, encoded; empty when there are none.
    pub segment: Vec<u8>,
    /// Values of the events that are kept apart. Those that exist already are kept once.
    pub blobs: Vec<Blob>,
    /// The messages that were taken up, which go.
    pub taken: Vec<MessageId>,
    /// The number of the first line in `logs`: that of the last line that is kept, plus 1. Lines whose
    /// numbers are kept are not kept again, so an append without events may be repeated, too.
    pub first_line: u64,
    /// What nodes wrote.
    pub logs: Vec<LogLine>,
    /// What becomes of the row.
    pub progress: Progress,
}

impl Append {
    /// Whether it holds events.
    pub fn has_events(&self) -> bool {
        self.last_seq >= self.first_seq
    }
}

/// How an execution stands after an [`Append`].
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// Its status; a terminal one ends it.
    pub status: ExecutionStatus,
    /// When it started, once it has.
    pub started_at: Option<Timestamp>,
    /// The time of this change; with a terminal status, when it ended.
    pub at: Timestamp,
    /// When something is due by itself.
    pub wake_at: Option<Timestamp>,
    /// Whether its owner lets it go: from now on anybody may claim it, when `wake_at` comes or a
    /// message does. When there is a message already, it is due at once.
    pub release: bool,
    /// Why it did not succeed.
    pub error: Option<ExecutionError>,
}

/// What became of an [`Append`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// It is kept, and durable; perhaps from an earlier call.
    Committed,
    /// Somebody else executes the execution now, or it has ended, or is gone. Nothing was changed.
    Fenced,
    /// Its events do not follow those that are kept, the last of which has this number. Nothing was
    /// changed.
    OutOfOrder {
        /// The number of the last event that is kept.
        last_seq: u64,
    },
}

/// A line that a node wrote, or something else that it said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// Counts the lines of an execution, from 1, in the order in which they were kept. In an [`Append`]
    /// it is not looked at: there [`Append::first_line`] gives the numbers.
    pub number: u64,
    /// When.
    pub at: Timestamp,
    /// The address of the node.
    pub node: String,
    /// The attempt, from 1.
    pub attempt: u32,
    /// What kind: `stdout`, `stderr`, `info`, `warning`, `progress` or `data`.
    pub kind: String,
    /// What it said.
    pub text: String,
}

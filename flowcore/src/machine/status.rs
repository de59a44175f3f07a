//! The states of a node instance, and every step between them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The state of an execution, as people see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ExecutionStatus {
    /// Accepted, not started.
    Queued,
    /// Under way.
    Running,
    /// Nothing runs until a time or a signal.
    Waiting,
    /// Starts nothing until it is resumed.
    Paused,
    /// Ended well; nodes may have failed under `ContinueOnError`.
    Succeeded,
    /// Ended because a node failed.
    Failed,
    /// Ended because somebody asked for it.
    Cancelled,
    /// Ended because it took longer than `max_execution_time_ms`.
    TimedOut,
}

impl ExecutionStatus {
    /// Whether nothing comes after it.
    pub fn is_terminal(self) -> bool {
        match self {
            Self::Succeeded | Self::Failed | Self::Cancelled | Self::TimedOut => true,
            Self::Queued | Self::Running | Self::Waiting | Self::Paused => false,
        }
    }

    /// The state as a stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "Queued",
            Self::Running => "Running",
            Self::Waiting => "Waiting",
            Self::Paused => "Paused",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::Cancelled => "Cancelled",
            Self::TimedOut => "TimedOut",
        }
    }
}

impl fmt::Display for ExecutionStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The state of a node instance, as people see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum NodeStatus {
    /// Not started; in an execution that ended: never started.
    Pending,
    /// An attempt is under way.
    Running,
    /// Between two attempts, or for a time or a signal.
    Waiting,
    /// Ended well.
    Succeeded,
    /// Ended with an error after its last attempt.
    Failed,
    /// Not run, because of its connections or its `when`.
    Skipped,
    /// Told to stop.
    Cancelled,
}

impl NodeStatus {
    /// The state as a stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Running => "Running",
            Self::Waiting => "Waiting",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::Skipped => "Skipped",
            Self::Cancelled => "Cancelled",
        }
    }
}

impl fmt::Display for NodeStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The state of a node instance, as the machine sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// Waits for connections.
    Pending,
    /// May start.
    Ready,
    /// An attempt is under way.
    Running,
    /// Waits for its next attempt.
    Backoff,
    /// Waits for a time or a signal.
    Waiting,
    /// Ended well.
    Succeeded,
    /// Ended with an error.
    Failed,
    /// Never ran.
    Skipped,
    /// Told to stop.
    Cancelled,
}

/// What happens to a node instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Change {
    /// Its connections let it run.
    Unblock,
    /// An attempt starts, or the scopes of a control node.
    Start,
    /// It begins to wait for a time or a signal.
    Wait,
    /// An attempt ended well.
    Succeed,
    /// An attempt failed, and another follows; or it has to wait for its turn under a rate limit.
    Retry,
    /// The wait before the next attempt is over.
    Due,
    /// An attempt was cut off by the end of its process, and another follows.
    Interrupt,
    /// The last attempt failed.
    Fail,
    /// It does not run.
    Skip,
    /// It was told to stop, and has.
    Cancel,
}

impl Status {
    /// The transition table: what a change makes of a state, or `None` if it cannot happen then.
    ///
    /// Inline nodes without an effect, and control nodes that only decide, go from `Ready` to an end
    /// without `Running`: they have one event.
    pub fn next(self, change: Change) -> Option<Self> {
        match (self, change) {
            (Self::Pending, Change::Unblock) | (Self::Backoff, Change::Due) => Some(Self::Ready),
            (Self::Running, Change::Interrupt) => Some(Self::Ready),
            (Self::Ready, Change::Start) => Some(Self::Running),
            (Self::Ready, Change::Wait) => Some(Self::Waiting),
            (Self::Ready | Self::Running | Self::Waiting, Change::Succeed) => Some(Self::Succeeded),
            (Self::Ready | Self::Running, Change::Retry) => Some(Self::Backoff),
            (Self::Ready | Self::Running | Self::Waiting, Change::Fail) => Some(Self::Failed),
            (Self::Pending | Self::Ready, Change::Skip) => Some(Self::Skipped),
            (Self::Pending | Self::Ready | Self::Running, Change::Cancel)
            | (Self::Backoff | Self::Waiting, Change::Cancel) => Some(Self::Cancelled),
            (Self::Pending, Change::Start | Change::Wait | Change::Succeed | Change::Retry)
            | (Self::Pending, Change::Fail | Change::Due | Change::Interrupt)
            | (Self::Ready, Change::Unblock | Change::Due | Change::Interrupt)
            | (Self::Running, Change::Unblock | Change::Start | Change::Wait)
            | (Self::Running, Change::Due | Change::Skip)
            | (Self::Backoff, Change::Unblock | Change::Start | Change::Wait | Change::Succeed)
            | (Self::Backoff, Change::Retry | Change::Fail | Change::Skip | Change::Interrupt)
            | (Self::Waiting, Change::Unblock | Change::Start | Change::Wait | Change::Retry)
            | (Self::Waiting, Change::Due | Change::Skip | Change::Interrupt)
            | (Self::Succeeded | Self::Failed | Self::Skipped | Self::Cancelled, _) => None,
        }
    }

    /// Whether nothing comes after it.
    pub fn is_terminal(self) -> bool {
        match self {
            Self::Succeeded | Self::Failed | Self::Skipped | Self::Cancelled => true,
            Self::Pending | Self::Ready | Self::Running | Self::Backoff | Self::Waiting => false,
        }
    }

    /// The state as people see it.
    pub fn to_public(self) -> NodeStatus {
        match self {
            Self::Pending | Self::Ready => NodeStatus::Pending,
            Self::Running => NodeStatus::Running,
            Self::Backoff | Self::Waiting => NodeStatus::Waiting,
            Self::Succeeded => NodeStatus::Succeeded,
            Self::Failed => NodeStatus::Failed,
            Self::Skipped => NodeStatus::Skipped,
            Self::Cancelled => NodeStatus::Cancelled,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_an_end_and_every_other_state_has_an_exit() {
        use Change::*;
        let changes = [Unblock, Start, Wait, Succeed, Retry, Due, Interrupt, Fail, Skip, Cancel];
        let states = [
            Status::Pending,
            Status::Ready,
            Status::Running,
            Status::Backoff,
            Status::Waiting,
            Status::Succeeded,
            Status::Failed,
            Status::Skipped,
            Status::Cancelled,
        ];
        for state in states {
            let exits = changes.iter().filter(|change| state.next(**change).is_some()).count();
            assert_eq!(exits == 0, state.is_terminal(), "{state:?}");
        }
    }
}

//! What happened to nodes, from the events of an execution.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use flowcore::{Event, ExecutionEvent, NodeIndex, async_trait};
use flowruntime::{Journal, JournalError};

/// What happened to the node at one address, in all rounds.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Seen {
    /// How many attempts it had in the last round.
    pub(super) attempts: u32,
    pub(super) ran: bool,
    pub(super) skipped: bool,
    /// Whether its last attempt failed.
    pub(super) failed: bool,
    /// Whether it waits for something.
    pub(super) waiting: bool,
}

#[derive(Debug, Default)]
struct Records {
    by_address: BTreeMap<String, Seen>,
    ran: HashSet<NodeIndex>,
}

/// Sees every event.
#[derive(Debug, Default)]
pub(super) struct Recorder(Mutex<Records>);

impl Recorder {
    fn lock(&self) -> MutexGuard<'_, Records> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What happened so far, by address.
    pub(super) fn seen(&self) -> BTreeMap<String, Seen> {
        self.lock().by_address.clone()
    }

    /// The nodes of the plan that ran.
    pub(super) fn ran(&self) -> HashSet<NodeIndex> {
        self.lock().ran.clone()
    }
}

impl Records {
    fn note(&mut self, event: &ExecutionEvent) {
        let (Some(fact), Some(instance)) = (event.event(), event.instance()) else { return };
        let Some(address) = event.node_id() else { return };
        let seen = self.by_address.entry(address.to_owned()).or_default();
        match fact {
            Event::NodeStarted { attempt, .. } => seen.attempts = *attempt,
            Event::NodeWaiting { attempt, .. } => {
                (seen.attempts, seen.waiting) = (*attempt, true);
            }
            Event::NodeCompleted { attempt, .. } => {
                (seen.attempts, seen.failed, seen.waiting) = (*attempt, false, false);
            }
            Event::NodeFailed { attempt, .. } => {
                (seen.attempts, seen.failed, seen.waiting) = (*attempt, true, false);
            }
            Event::NodeSkipped { .. } => {
                seen.skipped = true;
                return;
            }
            Event::NodeCancelled { .. } => {
                seen.waiting = false;
                return;
            }
            _ => return,
        }
        seen.ran = true;
        self.ran.insert(instance.node);
    }
}

#[async_trait]
impl Journal for Recorder {
    async fn append(&self, events: &[ExecutionEvent]) -> Result<(), JournalError> {
        let mut records = self.lock();
        events.iter().for_each(|event| records.note(event));
        Ok(())
    }

    async fn durable(&self, _seq: u64) -> Result<(), JournalError> {
        Ok(())
    }
}

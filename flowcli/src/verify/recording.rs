//! What one run gave: the outcome of every attempt, by its key.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use flowcore::machine::Outcome;
use flowcore::{
    Effect, Event, Execution, ExecutionEvent, ExecutionId, FailureKind, NodeIndex, Timestamp,
};
use flowruntime::History;
use flowruntime::testing::crash::{Keys, Sent, sent};

use super::ledger::{By, Start};

/// What stands before what a node said when it panicked.
const PANICKED: &str = "the node panicked: ";

/// A run, with the outcome of every attempt.
#[derive(Debug)]
pub(crate) struct Recording {
    pub(crate) history: History,
    /// The signals that it was sent, in order.
    pub(crate) signals: Vec<Sent>,
    attempts: HashMap<String, Vec<Recorded>>,
    /// The keys, in the order in which their nodes were first heard of.
    keys: Vec<String>,
    /// Those whose outcomes come from a test file.
    pinned: HashSet<String>,
}

/// One attempt of it.
#[derive(Debug, Clone)]
pub(crate) struct Recorded {
    pub(crate) node: NodeIndex,
    pub(crate) attempt: u32,
    pub(crate) began: Timestamp,
    /// When it ended; no two attempts end at the same moment.
    pub(crate) ended: Timestamp,
    /// How; `None` if it was told to stop, or was cut off.
    pub(crate) outcome: Option<Outcome>,
}

impl Recording {
    pub(crate) fn new(history: History) -> Self {
        let signals = sent(&history.events);
        let mut recorder = Recorder::default();
        history.events.iter().for_each(|event| recorder.note(event));
        let Recorder { attempts, keys, .. } = recorder;
        Self { history, signals, attempts, keys, pinned: HashSet::new() }
    }

    /// A run of which these attempts were not made.
    #[must_use]
    pub(crate) fn pinned(mut self, starts: &[Start]) -> Self {
        let pinned = starts.iter().filter(|start| start.by == By::StandIn);
        self.pinned = pinned.map(|start| start.deed.key.clone()).collect();
        self
    }

    /// Whether the outcome of the node of this key comes from a test file, also if it is `pure`.
    pub(crate) fn is_pinned(&self, key: &str) -> bool {
        self.pinned.contains(key)
    }

    pub(crate) fn id(&self) -> ExecutionId {
        self.history.row.id
    }

    /// When the execution started.
    pub(crate) fn started_at(&self) -> Timestamp {
        self.history.events.first().map_or(self.history.row.created_at, ExecutionEvent::at)
    }

    /// The attempt of this number; for one more than there were, the last.
    pub(crate) fn find(&self, key: &str, attempt: u32) -> Option<&Recorded> {
        let attempts = self.attempts.get(key)?;
        attempts.iter().find(|recorded| recorded.attempt >= attempt).or(attempts.last())
    }

    /// All attempts with their keys, node by node.
    pub(crate) fn attempts(&self) -> impl Iterator<Item = (&str, &Recorded)> {
        self.keys.iter().flat_map(|key| {
            let attempts = self.attempts.get(key).into_iter().flatten();
            attempts.map(|recorded| (key.as_str(), recorded))
        })
    }

    pub(crate) fn effect(&self, node: NodeIndex) -> Effect {
        self.history.plan.graph().node(node).effect()
    }

    /// The address that a key ends with.
    pub(crate) fn address(key: &str) -> &str {
        key.splitn(3, '/').last().unwrap_or_default()
    }
}

#[derive(Default)]
struct Recorder {
    follower: Keys,
    attempts: HashMap<String, Vec<Recorded>>,
    keys: Vec<String>,
    seen: HashSet<String>,
    /// When the last attempt ended.
    last_end: Timestamp,
}

impl Recorder {
    fn note(&mut self, event: &ExecutionEvent) {
        let key = self.follower.follow(event);
        let (Some(key), Some(instance), Some(fact)) = (key, event.instance(), event.event()) else {
            return;
        };
        let node = event.plan().graph().node(instance.node);
        if node.execution() == Execution::Control {
            return;
        }
        match fact {
            Event::NodeStarted { attempt, .. } => {
                self.begin(key, instance.node, *attempt, event.at());
            }
            Event::NodeCompleted { attempt, outputs, state_writes, started_at, kept, .. } => {
                if *kept {
                    return;
                }
                let (outputs, state_writes) = (outputs.clone(), state_writes.clone());
                let outcome = Outcome::Succeeded { outputs, state_writes, cache: None };
                self.begin(key.clone(), instance.node, *attempt, *started_at);
                self.end(&key, event.at(), Some(outcome));
            }
            Event::NodeFailed { attempt, outcome, error, started_at, .. } => {
                let outcome = match outcome {
                    FailureKind::Failed => Some(Outcome::Failed(error.clone())),
                    FailureKind::TimedOut => Some(Outcome::TimedOut),
                    FailureKind::Panicked => {
                        let message = error.message();
                        let message = message.strip_prefix(PANICKED).unwrap_or(message).to_owned();
                        Some(Outcome::Panicked { message })
                    }
                    FailureKind::Interrupted => None,
                };
                self.begin(key.clone(), instance.node, *attempt, *started_at);
                self.end(&key, event.at(), outcome);
            }
            _ => {}
        }
    }

    /// An attempt began; perhaps that was known already.
    fn begin(&mut self, key: String, node: NodeIndex, attempt: u32, began: Timestamp) {
        if self.seen.insert(key.clone()) {
            self.keys.push(key.clone());
        }
        let attempts = self.attempts.entry(key).or_default();
        if attempts.last().is_none_or(|last| last.attempt != attempt) {
            attempts.push(Recorded { node, attempt, began, ended: began, outcome: None });
        }
    }

    fn end(&mut self, key: &str, at: Timestamp, outcome: Option<Outcome>) {
        self.last_end = at.max(self.last_end.after(Duration::from_micros(1)));
        if let Some(recorded) = self.attempts.get_mut(key).and_then(|all| all.last_mut()) {
            (recorded.ended, recorded.outcome) = (self.last_end, outcome);
        }
    }
}

//! The signals and approvals that nodes wait for, and who can give them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use flowcore::{Event, ExecutionEvent, Instance, Record, Value, Wait};

use super::line;
use super::state::State;

/// A name, and what tells waits for it apart.
pub(crate) type SignalKey = (String, Option<String>);

/// Who gives the signals that nodes wait for.
#[derive(Debug, Default)]
pub(crate) struct Givers {
    /// How many were given in advance.
    pub(crate) given: HashMap<SignalKey, usize>,
    /// Whether somebody at the terminal can be asked for approvals.
    pub(crate) can_ask: bool,
    /// The command that gives one from elsewhere, but for its name.
    pub(crate) command: Option<String>,
}

/// An approval that somebody is to be asked for.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    /// Where the node stands.
    pub(crate) address: String,
    pub(crate) name: String,
    pub(crate) key: Option<String>,
    /// What is to be approved.
    pub(crate) message: Option<Value>,
    seq: u64,
}

/// What nodes wait for.
#[derive(Default)]
pub(super) struct Waiting {
    givers: Givers,
    questions: BTreeMap<u64, Question>,
    asked_for: HashMap<Instance, u64>,
    /// The names of which it was said how to give them.
    told: BTreeSet<String>,
}

impl Waiting {
    pub(super) fn new(givers: Givers) -> Self {
        Self { givers, ..Self::default() }
    }

    /// The question that has been open longest.
    pub(super) fn next(&self) -> Option<&Question> {
        self.questions.values().next()
    }

    pub(super) fn holds(&self, question: &Question) -> bool {
        self.questions.contains_key(&question.seq)
    }

    pub(super) fn answered(&mut self, question: &Question) {
        self.questions.remove(&question.seq);
    }

    /// From now on this command gives signals from elsewhere.
    pub(super) fn set_command(&mut self, command: String) {
        self.givers.command = Some(command);
    }

    /// Takes an approval or signal that was given in advance.
    fn take_given(&mut self, name: &str, key: Option<&str>) -> bool {
        let key = (name.to_owned(), key.map(str::to_owned));
        let left = self.givers.given.get_mut(&key).filter(|left| **left > 0);
        left.map(|left| *left -= 1).is_some()
    }
}

impl State {
    /// Notes what nodes wait for. Gives whether the questions are others than before.
    pub(super) fn note_waiting(&mut self, event: &ExecutionEvent, record: &Record) -> bool {
        match &record.event {
            Event::NodeWaiting { instance, wait, .. } => {
                let address = event.node_id().unwrap_or_default();
                self.waits_for(*instance, record.seq, address, wait)
            }
            Event::NodeCompleted { instance, .. }
            | Event::NodeFailed { instance, .. }
            | Event::NodeCancelled { instance, .. } => {
                let seq = self.waiting.asked_for.remove(instance);
                seq.is_some_and(|seq| self.waiting.questions.remove(&seq).is_some())
            }
            _ => false,
        }
    }

    fn waits_for(&mut self, instance: Instance, seq: u64, address: &str, wait: &Wait) -> bool {
        let (name, key, message, is_approval) = match wait {
            Wait::Time | Wait::RateLimit { .. } => return false,
            Wait::Signal { name, key } => (name, key, &None, false),
            Wait::Approval { name, key, message } => (name, key, message, true),
        };
        if self.waiting.take_given(name, key.as_deref()) {
            return false;
        }
        if is_approval && self.waiting.givers.can_ask {
            let question = Question {
                address: address.to_owned(),
                name: name.to_string(),
                key: key.as_deref().map(str::to_owned),
                message: message.clone(),
                seq,
            };
            self.waiting.questions.insert(seq, question);
            self.waiting.asked_for.insert(instance, seq);
            return true;
        }
        if self.waiting.told.insert(name.to_string()) {
            let command = self.waiting.givers.command.as_deref();
            let key = key.as_deref();
            self.say(line::how_to_give(command, address, name, key, is_approval));
        }
        false
    }

    /// Nobody answers any more: what is asked for is told instead.
    pub(super) fn stop_asking(&mut self) {
        self.waiting.givers.can_ask = false;
        for question in std::mem::take(&mut self.waiting.questions).into_values() {
            if self.waiting.told.insert(question.name.clone()) {
                let key = question.key.as_deref();
                let command = self.waiting.givers.command.as_deref();
                let (address, name) = (&question.address, &question.name);
                self.say(line::how_to_give(command, address, name, key, true));
            }
        }
    }
}

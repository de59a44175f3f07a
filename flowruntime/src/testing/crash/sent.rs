//! The signals that an execution was sent, from its events.

use std::sync::Arc;

use flowcore::{Event, ExecutionEvent, Timestamp, Value};

/// A signal that an execution was sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Sent {
    /// Its name.
    pub name: Arc<str>,
    /// Which of several waits for the name is meant.
    pub key: Option<Arc<str>>,
    /// What came with it.
    pub payload: Value,
    /// When it was taken up.
    pub at: Timestamp,
}

impl Sent {
    /// Whether it says the same, whenever.
    pub fn is_same(&self, other: &Self) -> bool {
        self.name == other.name && self.key == other.key && self.payload == other.payload
    }
}

/// The signals that an execution was sent, in the order in which they came: one that was kept until a
/// node waited for it has two events, and is one.
pub fn sent(events: &[ExecutionEvent]) -> Vec<Sent> {
    let (mut all, mut kept): (Vec<Sent>, Vec<Sent>) = (Vec::new(), Vec::new());
    for event in events {
        let Some(Event::SignalReceived { instance, name, key, payload }) = event.event() else {
            continue;
        };
        let (name, key, payload) = (name.clone(), key.clone(), payload.clone());
        let signal = Sent { name, key, payload, at: event.at() };
        let position = kept.iter().position(|other| other.is_same(&signal));
        match (instance, position) {
            (Some(_), Some(position)) => drop(kept.remove(position)),
            (Some(_), None) => all.push(signal),
            (None, _) => {
                kept.push(signal.clone());
                all.push(signal);
            }
        }
    }
    all
}

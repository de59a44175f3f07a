//! A webhook or event trigger, as a version of a workflow has it, and what is kept of it besides.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flowcore::{EventTrigger, Listener, TriggerKind, WebhookTrigger};
use flowstore::{Record, RecordKey};
use serde::{Deserialize, Serialize};

use super::key::{self, TriggerKey};

/// The kind of records in which the server keeps what it adds to triggers.
pub(super) const STATE: &str = "trigger";

/// The kind of records that say whose the path of a webhook is.
pub(super) const PATH: &str = "webhook";

/// How many random bytes the key in an address has.
const KEY_BYTES: usize = 16;

/// A webhook or event trigger of the current version of a workflow.
#[derive(Debug)]
pub(crate) struct Trigger {
    pub(crate) key: TriggerKey,
    pub(crate) version: u64,
    /// Whether the file says that it starts executions.
    pub(crate) is_enabled: bool,
    pub(crate) kind: Kind,
    pub(crate) listener: Listener,
}

/// What a trigger listens to.
#[derive(Debug)]
pub(crate) enum Kind {
    Webhook(WebhookTrigger),
    Event(EventTrigger),
}

impl Trigger {
    /// Whether it starts executions, with this state.
    pub(crate) fn is_on(&self, state: Option<&State>) -> bool {
        state.and_then(|state| state.asked).unwrap_or(self.is_enabled)
    }

    pub(crate) fn webhook(&self) -> Option<&WebhookTrigger> {
        match &self.kind {
            Kind::Webhook(webhook) => Some(webhook),
            Kind::Event(_) => None,
        }
    }
}

/// What the server keeps of a trigger.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    /// What an operator has said, whatever the file says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) asked: Option<bool>,
    /// The part of the address of a webhook that nobody can guess.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
}

impl State {
    pub(super) fn body(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("it has string keys only")
    }
}

/// What names the record that says whose a path is.
pub(super) fn path_record(path: &str) -> RecordKey {
    RecordKey { project: None, kind: PATH.to_owned(), id: path.to_owned() }
}

/// A key that nobody can guess, as it stands in an address.
pub(super) fn random_key() -> Result<String, getrandom::Error> {
    let mut bytes = [0; KEY_BYTES];
    getrandom::fill(&mut bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// The webhook and event triggers of a version of a workflow, in the order of the file.
pub(super) fn of_workflow(record: &Record) -> Vec<Trigger> {
    key::of_workflow(record, &["webhook", "event"], |key, workflow, trigger| {
        let kind = match &trigger.kind {
            TriggerKind::Webhook(webhook) => Kind::Webhook(webhook.clone()),
            TriggerKind::Event(event) => Kind::Event(event.clone()),
            _ => return None,
        };
        let Some(listener) = Listener::new(workflow, trigger) else {
            // It was checked when it was saved, perhaps by a version that knew other filters.
            tracing::error!(trigger = key.subject(), "a trigger cannot be read");
            return None;
        };
        let (version, is_enabled) = (record.version, trigger.enabled);
        Some(Trigger { key, version, is_enabled, kind, listener })
    })
}

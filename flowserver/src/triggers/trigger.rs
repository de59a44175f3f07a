//! A webhook or event trigger, as a version of a workflow has it, and what is kept of it besides.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flowcore::{
    EventTrigger, Listener, ProjectId, Source, TriggerKind, WebhookTrigger, WorkflowId,
    read_workflow,
};
use flowstore::{Record, RecordKey};
use serde::{Deserialize, Serialize};

/// The kind of records in which the server keeps what it adds to triggers.
pub(super) const STATE: &str = "trigger";

/// The kind of records that say whose the path of a webhook is.
pub(super) const PATH: &str = "webhook";

/// How many random bytes the key in an address has.
const KEY_BYTES: usize = 16;

/// What names a trigger.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct TriggerKey {
    pub(crate) project: ProjectId,
    pub(crate) workflow: WorkflowId,
    /// The trigger, as [`flowcore::Workflow::trigger_name`] calls it.
    pub(crate) trigger: String,
}

impl TriggerKey {
    /// What names the record of its state. No id has a `.` in it.
    pub(super) fn record(&self) -> RecordKey {
        let id = self.subject();
        RecordKey { project: Some(self.project.clone()), kind: STATE.to_owned(), id }
    }

    /// The trigger that such a record is of.
    pub(super) fn of(record: &RecordKey) -> Option<Self> {
        let (workflow, trigger) = record.id.split_once('.')?;
        Some(Self {
            project: record.project.clone()?,
            workflow: WorkflowId::new(workflow).ok()?,
            trigger: trigger.to_owned(),
        })
    }

    /// What the audit log calls it.
    pub(crate) fn subject(&self) -> String {
        format!("{}.{}", self.workflow, self.trigger)
    }
}

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

/// Whose a path is, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Owner {
    pub(super) project: ProjectId,
    pub(super) workflow: WorkflowId,
    pub(super) trigger: String,
}

impl From<&TriggerKey> for Owner {
    fn from(key: &TriggerKey) -> Self {
        let TriggerKey { project, workflow, trigger } = key.clone();
        Self { project, workflow, trigger }
    }
}

impl From<Owner> for TriggerKey {
    fn from(owner: Owner) -> Self {
        let Owner { project, workflow, trigger } = owner;
        Self { project, workflow, trigger }
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
    let (Some(project), Some(body)) = (&record.key.project, &record.body) else {
        return Vec::new();
    };
    // Most workflows have none and need not be read: no other spelling of a type is shorter than the
    // word, but for escapes.
    let has = |word: &[u8]| body.windows(word.len()).any(|window| window == word);
    if !has(b"webhook") && !has(b"event") && !has(b"\\u") {
        return Vec::new();
    }
    let Ok(id) = WorkflowId::new(&record.key.id) else { return Vec::new() };
    let source = Source::json(record.key.id.as_str(), String::from_utf8_lossy(body));
    let (Some(workflow), _) = read_workflow(&source) else { return Vec::new() };
    let one = |(index, trigger): (usize, &flowcore::Trigger)| {
        let kind = match &trigger.kind {
            TriggerKind::Webhook(webhook) => Kind::Webhook(webhook.clone()),
            TriggerKind::Event(event) => Kind::Event(event.clone()),
            _ => return None,
        };
        let name = workflow.trigger_name(index).into_owned();
        let Some(listener) = Listener::new(&workflow, trigger) else {
            // It was checked when it was saved, perhaps by a version that knew other filters.
            tracing::error!(%id, trigger = name, "a trigger cannot be read");
            return None;
        };
        let (project, workflow) = (project.clone(), id.clone());
        Some(Trigger {
            key: TriggerKey { project, workflow, trigger: name },
            version: record.version,
            is_enabled: trigger.enabled,
            kind,
            listener,
        })
    };
    workflow.triggers.iter().enumerate().filter_map(one).collect()
}

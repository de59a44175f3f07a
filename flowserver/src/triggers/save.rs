//! What changes with a workflow when it is saved or deleted: whose paths are, and the keys in the
//! addresses of webhooks.

use std::collections::BTreeMap;

use flowcore::{ProjectId, TriggerKind, WebhookTrigger, Workflow, WorkflowId};
use flowruntime::store::{AuditEntry, StoreError};
use flowstore::{Change, Committed, Expect};

use super::book::{Kept, Known};
use super::trigger::{STATE, path_record, random_key};
use super::{State, TRIES, TriggerKey, busy};
use crate::app::App;
use crate::workflows;

/// Why a workflow was not saved.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SaveError {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Another workflow, perhaps of another project, has a webhook with this path.
    #[error("another workflow has a webhook with the path `{path}`")]
    PathTaken { path: String },
    #[error("the system has no random numbers: {0}")]
    NoRandomness(#[from] getrandom::Error),
}

/// Saves a version of a workflow, or deletes it when there is no text, and with it what follows for
/// its triggers, in one transaction. What was saved holds here when this returns, and on other servers
/// soon.
///
/// The answer is [`Committed::Done`] with the version of the workflow first, or a conflict about the
/// workflow.
pub(crate) async fn save(
    app: &App,
    (project, id): (&ProjectId, &WorkflowId),
    expect: Expect,
    saved: Option<(&str, &Workflow)>,
    audit: AuditEntry,
) -> Result<Committed, SaveError> {
    for _ in 0..TRIES {
        app.look().await?;
        let current = app.workflows.record(project, id).await?;
        // What follows for the triggers follows from one version and the next.
        let expect = match (expect, &current) {
            (Expect::Anything | Expect::Present, Some(record)) => Expect::Version(record.version),
            (expect, _) => expect,
        };
        let known_version = app.triggers.version(project, id);
        if current.as_ref().is_some_and(|record| record.version != known_version) {
            // Somebody has just saved another one.
            continue;
        }
        let mut changes = vec![Change {
            key: workflows::key(project, id.as_str()),
            expect,
            body: saved.map(|(text, _)| text.as_bytes().to_vec()),
            keeps_earlier: true,
        }];
        changes.extend(app.triggers.changes_with((project, id), saved.map(|(_, own)| own))?);
        match app.workflows.commit(project, id, changes, audit.clone()).await? {
            Committed::Conflict { position: 0, found } => {
                return Ok(Committed::Conflict { position: 0, found });
            }
            Committed::Conflict { .. } => {}
            done @ Committed::Done(_) => {
                app.look().await?;
                return Ok(done);
            }
        }
    }
    Err(busy().into())
}

impl super::Triggers {
    /// The version of a workflow that was noticed last; 0 when there was none.
    fn version(&self, project: &ProjectId, id: &WorkflowId) -> u64 {
        let known = self.known();
        known.workflows.get(&(project.clone(), id.clone())).map_or(0, |current| current.version)
    }

    /// What changes when a workflow comes to be this, or is deleted.
    fn changes_with(
        &self,
        (project, id): (&ProjectId, &WorkflowId),
        workflow: Option<&Workflow>,
    ) -> Result<Vec<Change>, SaveError> {
        let known = self.known();
        let own = |key: &TriggerKey| key.project == *project && key.workflow == *id;
        let listeners = workflow.map(|own| listeners(project, id, own)).unwrap_or_default();
        let webhooks = listeners.iter().filter_map(|(key, hook)| Some((key, (*hook)?)));
        let mut changes = Vec::new();
        for (key, webhook) in webhooks.clone() {
            changes.extend(known.take_path(key, &webhook.path)?);
        }
        let is_kept = |path: &str| webhooks.clone().any(|(_, webhook)| webhook.path == path);
        for (path, kept) in &known.paths {
            let Some(owner) = &kept.body else { continue };
            if own(owner) && !is_kept(path) {
                let key = path_record(path);
                let expect = Expect::Version(kept.version);
                changes.push(Change { key, expect, body: None, keeps_earlier: false });
            }
        }
        for (key, _) in webhooks.filter(|(_, webhook)| webhook.secret.is_none()) {
            changes.extend(known.make_key(key)?);
        }
        for (key, kept) in known.states.iter().filter(|(key, _)| own(key)) {
            if kept.body.is_some() && !listeners.contains_key(key) {
                changes.push(keep(key, kept.present(), None));
            }
        }
        Ok(changes)
    }
}

/// The webhook and event triggers of a workflow.
fn listeners<'a>(
    project: &ProjectId,
    id: &WorkflowId,
    workflow: &'a Workflow,
) -> BTreeMap<TriggerKey, Option<&'a WebhookTrigger>> {
    let one = |(index, trigger): (usize, &'a flowcore::Trigger)| {
        let webhook = match &trigger.kind {
            TriggerKind::Webhook(webhook) => Some(webhook),
            TriggerKind::Event(_) => None,
            _ => return None,
        };
        Some((TriggerKey::at(project, id, workflow, index), webhook))
    };
    workflow.triggers.iter().enumerate().filter_map(one).collect()
}

impl Known {
    /// The change with which a path becomes that of a trigger; none if it is.
    fn take_path(&self, key: &TriggerKey, path: &str) -> Result<Option<Change>, SaveError> {
        let kept = self.paths.get(path).and_then(|kept| Some((kept.version, kept.body.as_ref()?)));
        let expect = match kept {
            None => Expect::Absent,
            Some((_, owner)) if **owner == *key => return Ok(None),
            Some((version, owner))
                if (&owner.project, &owner.workflow) == (&key.project, &key.workflow) =>
            {
                Expect::Version(version)
            }
            Some(_) => return Err(SaveError::PathTaken { path: path.to_owned() }),
        };
        let body = serde_json::to_vec(key).expect("it has string keys only");
        Ok(Some(Change { key: path_record(path), expect, body: Some(body), keeps_earlier: false }))
    }

    /// The change with which a webhook gets a key; none if it has one.
    fn make_key(&self, key: &TriggerKey) -> Result<Option<Change>, SaveError> {
        let kept = self.states.get(key);
        let state = kept.and_then(|kept| kept.body.as_deref()).cloned().unwrap_or_default();
        if state.key.is_some() {
            return Ok(None);
        }
        let state = State { key: Some(random_key()?), ..state };
        Ok(Some(keep(key, kept.and_then(Kept::present), Some(&state))))
    }
}

/// The change with which a trigger has this state from now on.
pub(super) fn keep(key: &TriggerKey, version: Option<u64>, state: Option<&State>) -> Change {
    let expect = version.map_or(Expect::Absent, Expect::Version);
    Change { key: key.record(STATE), expect, body: state.map(State::body), keeps_earlier: false }
}

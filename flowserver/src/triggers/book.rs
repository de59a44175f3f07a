//! The webhook and event triggers of all projects, in memory, as they were noticed last.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use flowcore::{ProjectId, WorkflowId};
use flowstore::Record;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::trigger::{PATH, STATE, of_workflow};
use super::{Kind, State, Trigger, TriggerKey};
use crate::workflows;

/// The webhook and event triggers of all projects: a request is led to its trigger without waiting.
#[derive(Default)]
pub(crate) struct Triggers {
    known: RwLock<Known>,
}

#[derive(Default)]
pub(super) struct Known {
    /// The current versions of workflows, also of those that are gone or have no such triggers: what
    /// is older and noticed later changes nothing.
    pub(super) workflows: BTreeMap<(ProjectId, WorkflowId), Current>,
    pub(super) states: BTreeMap<TriggerKey, Kept<State>>,
    /// Whose each path is.
    pub(super) paths: HashMap<String, Kept<TriggerKey>>,
}

/// A workflow, as far as it is of interest here.
#[derive(Default)]
pub(super) struct Current {
    pub(super) version: u64,
    pub(super) triggers: Vec<Arc<Trigger>>,
}

/// A record that is kept, or was.
pub(super) struct Kept<T> {
    pub(super) version: u64,
    pub(super) body: Option<Arc<T>>,
}

/// A trigger and its state.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) trigger: Arc<Trigger>,
    pub(crate) state: Option<Arc<State>>,
    /// The version of the record of its state; `None` when there is none.
    pub(super) state_version: Option<u64>,
}

impl Found {
    pub(crate) fn is_on(&self) -> bool {
        self.trigger.is_on(self.state.as_deref())
    }

    /// The key in the address of a webhook that is not signed.
    pub(crate) fn address_key(&self) -> Option<&str> {
        self.state.as_ref()?.key.as_deref()
    }
}

impl Triggers {
    pub(super) fn known(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self) -> RwLockWriteGuard<'_, Known> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes notice of a record that has changed, here or elsewhere.
    pub(crate) fn notice(&self, record: &Record) {
        match &*record.key.kind {
            workflows::KIND => self.notice_workflow(record),
            STATE => {
                let Some(key) = TriggerKey::of(&record.key) else { return };
                note(self.change().states.entry(key).or_insert_with(Kept::nothing), record);
            }
            PATH if record.key.project.is_none() => {
                let path = record.key.id.clone();
                note(self.change().paths.entry(path).or_insert_with(Kept::nothing), record);
            }
            _ => {}
        }
    }

    fn notice_workflow(&self, record: &Record) {
        let Some(project) = &record.key.project else { return };
        let Ok(workflow) = WorkflowId::new(&record.key.id) else { return };
        let triggers = of_workflow(record).into_iter().map(Arc::new).collect();
        let mut known = self.change();
        let current = known.workflows.entry((project.clone(), workflow)).or_default();
        if record.version > current.version {
            *current = Current { version: record.version, triggers };
        }
    }

    /// A trigger.
    pub(crate) fn get(&self, key: &TriggerKey) -> Option<Found> {
        self.known().get(key)
    }

    /// The triggers of a project, by workflow, and in the order of the file.
    pub(crate) fn of(&self, project: &ProjectId) -> Vec<Found> {
        let known = self.known();
        let of_project = known.of_project(project);
        of_project.map(|trigger| known.with_state(trigger.clone())).collect()
    }

    /// The triggers of a project that are enabled and listen to a topic, in the same order.
    pub(crate) fn listeners(&self, project: &ProjectId, topic: &str) -> Vec<Arc<Trigger>> {
        let listens = |found: &Found| match &found.trigger.kind {
            Kind::Event(event) => found.is_on() && event.listens_to(topic),
            Kind::Webhook(_) => false,
        };
        self.of(project).into_iter().filter(listens).map(|found| found.trigger).collect()
    }

    /// The webhook that a request to a path (what comes after `/hooks/`) is for. A part of the address
    /// that is to be secret is compared in a time that says nothing about it.
    pub(crate) fn find_webhook(&self, path: &str, method: &str) -> Option<Arc<Trigger>> {
        let known = self.known();
        let found = match known.webhook(path).filter(is_signed) {
            Some(signed) => signed,
            None => {
                let (path, key) = path.rsplit_once('/')?;
                let found = known.webhook(path).filter(|found| !is_signed(found))?;
                // The digests are compared: how long that takes says nothing about the key.
                let is_it = |known: &str| {
                    Sha256::digest(known.as_bytes()) == Sha256::digest(key.as_bytes())
                };
                found.address_key().is_some_and(is_it).then_some(found)?
            }
        };
        let takes = |found: &Found| {
            let methods = found.trigger.webhook().map(|webhook| &webhook.methods);
            methods.is_some_and(|methods| methods.iter().any(|one| one.as_str() == method))
        };
        (found.is_on() && takes(&found)).then_some(found.trigger)
    }
}

fn is_signed(found: &Found) -> bool {
    found.trigger.webhook().is_some_and(|webhook| webhook.secret.is_some())
}

impl Known {
    fn of_project(&self, project: &ProjectId) -> impl Iterator<Item = &Arc<Trigger>> {
        let own = self.workflows.iter().filter(move |((of, _), _)| of == project);
        own.flat_map(|(_, current)| &current.triggers)
    }

    fn get(&self, key: &TriggerKey) -> Option<Found> {
        let current = self.workflows.get(&(key.project.clone(), key.workflow.clone()))?;
        let trigger = current.triggers.iter().find(|trigger| trigger.key == *key)?;
        Some(self.with_state(trigger.clone()))
    }

    fn with_state(&self, trigger: Arc<Trigger>) -> Found {
        let kept = self.states.get(&trigger.key);
        let state = kept.and_then(|kept| kept.body.clone());
        let state_version = kept.and_then(Kept::present);
        Found { trigger, state, state_version }
    }

    /// The webhook that has this path now.
    fn webhook(&self, path: &str) -> Option<Found> {
        let owner = self.paths.get(path)?.body.clone()?;
        let found = self.get(&owner)?;
        // What was noticed so far may be of the middle of a transaction.
        let is_its = found.trigger.webhook().is_some_and(|webhook| webhook.path == path);
        is_its.then_some(found)
    }
}

impl<T> Kept<T> {
    fn nothing() -> Self {
        Self { version: 0, body: None }
    }

    /// The version of the record, if there is one.
    pub(super) fn present(&self) -> Option<u64> {
        self.body.as_ref().map(|_| self.version)
    }
}

/// Keeps what a record says, unless something newer is known.
fn note<T: DeserializeOwned>(kept: &mut Kept<T>, record: &Record) {
    if record.version <= kept.version {
        return;
    }
    kept.version = record.version;
    kept.body = record.body.as_deref().and_then(|body| match serde_json::from_slice(body) {
        Ok(body) => Some(Arc::new(body)),
        Err(error) => {
            tracing::error!(id = record.key.id, %error, "what is kept of a trigger cannot be read");
            None
        }
    });
}
